"""Keeps records in a SQLite database. Threads and processes of one machine may share it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._sqlite.connections import SQLiteConnections
from ca_embed.storage._sqlite.errors import LOCK_WAIT, locked, translated, unavailable
from ca_embed.storage._sqlite.group_commit import GroupCommit, Interrupted, WaitedTooLong

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

    path: the database file. It is created with mode 0600 at the first use. Its folder must exist.

    SQLite keeps two more files beside it, with the endings -wal and -shm. Copy or move the three together.
    A saved record has been flushed to the disk (write-ahead log, `synchronous=FULL`).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Keep the path. A relative path is relative to the folder that is current now."""
        self._path = Path(path).absolute()
        self._connections = SQLiteConnections(self._path)
        self._commits = GroupCommit(self._connections)

    @property
    def path(self) -> Path:
        """The absolute path of the database."""
        return self._path

    def __repr__(self) -> str:
        return f"SQLiteStorage({str(self._path)!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record with this id, or None if there is none."""
        records = self._read(_LOAD, registration_id)
        return records[0] if records else None

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`; else return False."""
        values = (record.version, record.user_id, record.due_at, record.document, record.registration_id)
        if record.version == 1:
            return self._write(_INSERT, *values)
        return self._write(_UPDATE, *values, record.version - 1)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if the stored version is `version`; else return False."""
        return self._write(_DELETE, registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by`, earliest first, after the cursor."""
        return self._read(_DUE, by, *(after or (-inf, "")), limit)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records in the order of their ids, after the id `after`.

        With `user_id`, return only the records of this user.
        """
        if user_id is None:
            return self._read(_LIST, after or "", limit)
        return self._read(_LIST_OF_USER, user_id, after or "", limit)

    def close(self) -> None:
        """Close the database. The next call opens it again."""
        self._connections.close()

    def _create_nothing(self) -> None:
        self._connections.creates = False

    def _read(self, query: str, *values: object) -> Sequence[SealedRecord]:
        try:
            with self._connections.lend(_deadline()) as connection:
                return [SealedRecord(*row) for row in connection.execute(query, values).fetchall()]
        except (sqlite3.Error, OSError) as error:
            raise translated(self._path, error) from error

    def _write(self, statement: str, *values: object) -> bool:
        """Run one conditional statement. Return True if it changed a row; it is durable then."""
        try:
            with self._connections.passing_gate():
                return self._commits.run(statement, values, _deadline())
        except WaitedTooLong:
            raise locked(self._path) from None
        except Interrupted:
            message = "a thread was interrupted while it wrote for others: try again"
            raise unavailable(self._path, message) from None
        except (sqlite3.Error, OSError) as error:
            raise translated(self._path, error) from error


def _deadline() -> float:
    return time.monotonic() + LOCK_WAIT
