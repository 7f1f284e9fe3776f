"""SQLite on Django's own connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from django.db import transaction

from ca_embed.adapters.django._databases.base import NO_TABLE, Database
from ca_embed.errors import StorageUnavailable

_EXTRA = 3  # FULL does not flush the folder after the rollback journal was deleted
_LOCKED = "it stayed locked: find the program that keeps it busy"


class SQLite(Database):
    """SQLite. The settings of the connection are restored after each operation."""

    remedies = MappingProxyType(
        {
            sqlite3.SQLITE_ERROR: NO_TABLE,  # the statements are right, so the table must be wrong
            sqlite3.SQLITE_BUSY: _LOCKED,
            sqlite3.SQLITE_LOCKED: _LOCKED,
            sqlite3.SQLITE_FULL: "the disk is full: make room",
            sqlite3.SQLITE_READONLY: "it is read-only: let the application write to the file and its folder",
        }
    )

    @contextmanager
    def transaction(
        self, connection: Any, *, writes: bool, seconds_left: Callable[[], float]
    ) -> Generator[None]:
        """See `Database.transaction`. SQLite cannot change `synchronous` inside a transaction of the host."""
        with _pragma(connection, "busy_timeout", _milliseconds(seconds_left)):
            if connection.in_atomic_block or not writes:
                with transaction.atomic(connection.alias):
                    yield
                return
            _require_journal(connection)
            with (
                _pragma(connection, "synchronous", _EXTRA),
                _immediate(connection),
                transaction.atomic(connection.alias),
            ):
                _set(connection, "busy_timeout", _milliseconds(seconds_left))  # BEGIN may have waited
                yield

    def code(self, error: BaseException) -> int | None:
        """Return the primary result code of SQLite."""
        code = getattr(error, "sqlite_errorcode", None)
        return None if code is None else code & 0xFF


@contextmanager
def _pragma(connection: Any, name: str, value: int) -> Generator[None]:
    """Set a pragma for the length of the block."""
    before = _get(connection, name)
    _set(connection, name, value)
    try:
        yield
    finally:
        if connection.connection is not None:
            _set(connection, name, before)


@contextmanager
def _immediate(connection: Any) -> Generator[None]:
    """Let BEGIN wait for the write lock. A transaction that begins with reading cannot wait for it later."""
    before, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"
    try:
        yield
    finally:
        connection.transaction_mode = before


def _require_journal(connection: Any) -> None:
    """Refuse a database that a crash may damage. One in memory is for tests, and promises nothing."""
    mode = _get(connection, "journal_mode")
    if mode in {"off", "memory"} and not connection.is_in_memory_db():
        raise StorageUnavailable(
            f"the SQLite database may forget what it stored: set PRAGMA journal_mode = WAL, not {mode}"
        )


def _get(connection: Any, name: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return cursor.fetchone()[0]


def _set(connection: Any, name: str, value: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name} = {value}")


def _milliseconds(seconds_left: Callable[[], float]) -> int:
    return max(0, round(seconds_left() * 1000))
