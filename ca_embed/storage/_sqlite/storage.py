"""Keeps records in a SQLite database, which many threads and processes of one machine may share."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._sqlite.connections import SQLiteConnections
from ca_embed.storage._sqlite.errors import WAIT, explained

_INSERT = """
    INSERT INTO registrations (version, user_id, due_at, document, registration_id) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (registration_id) DO NOTHING
"""
_UPDATE = """
    UPDATE registrations SET version = ?, user_id = ?, due_at = ?, document = ?
    WHERE registration_id = ? AND version = ?
"""
_DELETE = "DELETE FROM registrations WHERE registration_id = ? AND version = ?"
_SELECT = "SELECT registration_id, version, user_id, due_at, document FROM registrations"
_LOAD = f"{_SELECT} WHERE registration_id = ?"
_LIST = f"{_SELECT} WHERE registration_id > ? ORDER BY registration_id LIMIT ?"
_LIST_OF_USER = f"{_SELECT} WHERE user_id = ? AND registration_id > ? ORDER BY registration_id LIMIT ?"
_DUE = f"""
    {_SELECT} WHERE due_at <= ? AND (due_at, registration_id) > (?, ?)
    ORDER BY due_at, registration_id LIMIT ?
"""


class SQLiteStorage:
    """Keeps records in one SQLite database file on a local disk.

    The file is created, for its owner alone, at the first use; its folder must exist. SQLite keeps
    two more files beside it, ending in -wal and -shm: they belong together. What is saved has been
    flushed to the disk (write-ahead log, `synchronous=FULL`).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the file; a relative path counts from the folder that is the current one now."""
        self._path = Path(path).absolute()
        self._connections = SQLiteConnections(self._path)

    @property
    def path(self) -> Path:
        """Where the database is."""
        return self._path

    def __repr__(self) -> str:
        return f"SQLiteStorage({str(self._path)!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        records = self._read(_LOAD, registration_id)
        return records[0] if records else None

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        values = (record.version, record.user_id, record.due_at, record.document, record.registration_id)
        if record.version == 1:
            return self._write(_INSERT, *values)
        return self._write(_UPDATE, *values, record.version - 1)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        return self._write(_DELETE, registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by then, earliest first, after the cursor."""
        return self._read(_DUE, by, *(after or (-inf, "")), limit)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id, after that id; of one user, if one is named."""
        if user_id is None:
            return self._read(_LIST, after or "", limit)
        return self._read(_LIST_OF_USER, user_id, after or "", limit)

    def close(self) -> None:
        """Close the database. The next call opens it again."""
        self._connections.close()

    def _read(self, query: str, *values: object) -> Sequence[SealedRecord]:
        with explained(self._path), self._connections.lend(_deadline()) as connection:
            return [SealedRecord(*row) for row in connection.execute(query, values).fetchall()]

    def _write(self, statement: str, *values: object) -> bool:
        """Run one statement, which is a transaction of its own; tell whether it changed a row."""
        with explained(self._path), self._connections.lend_to_write(_deadline()) as connection:
            return connection.execute(statement, values).rowcount == 1


def _deadline() -> float:
    return time.monotonic() + WAIT
