"""What the errors of SQLite mean, and what to do about them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ca_embed.errors import StorageUnavailable

LOCK_WAIT = 4.0  # seconds to wait for a lock

_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_READONLY: "it is read-only: let the application write to the file and to its folder",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database: give ca_embed a file of its own",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: let the application write to the file and to its folder",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written: check whether it is full or failing",
}


def translated(path: Path, error: sqlite3.Error | OSError) -> StorageUnavailable:
    """Return the error to raise for an error of this database, with a remedy."""
    if isinstance(error, sqlite3.Error):
        return _translate(path, error)
    if isinstance(error, FileNotFoundError):
        return unavailable(path, f"its folder {path.parent} does not exist: create it")
    return unavailable(path, f"it cannot be created or opened ({error.strerror})")


def unavailable(path: Path, problem: str) -> StorageUnavailable:
    """Return the error for a problem of this database."""
    return StorageUnavailable(f"the database {path}: {problem}")


def locked(path: Path) -> StorageUnavailable:
    """Return the error for a lock that was not free in time."""
    return unavailable(path, f"it was locked for {LOCK_WAIT:g} seconds: find the program that keeps it busy")


def is_locked(error: sqlite3.Error) -> bool:
    """Return True if the error means that another connection held a lock."""
    return _result_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _translate(path: Path, error: sqlite3.Error) -> StorageUnavailable:
    if is_locked(error):
        return locked(path)
    if path.is_dir():
        return unavailable(path, "it is a folder: name a file")
    remedy = _REMEDIES.get(_result_code(error))
    return unavailable(path, f"{remedy} ({error})" if remedy else str(error))


def _result_code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite. An error that Python itself raises has no code."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
