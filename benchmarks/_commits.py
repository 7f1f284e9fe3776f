"""The least that each storage engine can do: one row, one durable commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import local

from benchmarks._deliveries import new_id

DOCUMENT = os.urandom(700)  # about as long as a sealed one


def sqlite_rows(path: Path) -> Callable[[], object]:
    """Return a call that inserts one row durably, on a connection for each thread."""
    connections = local()
    _open(path).execute(
        "CREATE TABLE rows (id TEXT PRIMARY KEY, version INTEGER, user_id TEXT, due_at REAL, document BLOB)"
    )

    def insert() -> None:
        if not hasattr(connections, "own"):
            connections.own = _open(path)
        connections.own.execute("INSERT INTO rows VALUES (?, 1, 'user_456', 1.0, ?)", (new_id(), DOCUMENT))

    return insert


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
