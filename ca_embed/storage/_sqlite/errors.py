"""What SQLite's failures mean, and what to do about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ca_embed.errors import StorageUnavailable

WAIT = 4.0  # seconds for the locks of others

_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_READONLY: "it is read-only: let the application write to the file and to its folder",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database: give ca_embed a file of its own",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it from a backup",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: let the application write to the file and to its folder",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written: see whether it is full or failing",
}


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn whatever goes wrong with that database into StorageUnavailable, in words that help."""
    try:
        yield
    except FileNotFoundError:
        raise unavailable(path, f"its folder {path.parent} does not exist: create it") from None
    except OSError as error:
        raise unavailable(path, f"it cannot be created or opened ({error.strerror})") from error
    except sqlite3.Error as error:
        raise _explanation(path, error) from error


def unavailable(path: Path, words: str) -> StorageUnavailable:
    """Return the error that says so about the database."""
    return StorageUnavailable(f"the database {path}: {words}")


def locked(path: Path) -> StorageUnavailable:
    """Return the error for a lock that was not free in time."""
    return unavailable(path, f"it was locked for {WAIT:g} seconds: see which other program keeps it busy")


def is_locked(error: sqlite3.Error) -> bool:
    """Tell whether another connection was in the way."""
    return _result_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _explanation(path: Path, error: sqlite3.Error) -> StorageUnavailable:
    if is_locked(error):
        return locked(path)
    if path.is_dir():
        return unavailable(path, "it is a folder: name a file")
    words = _WORDS.get(_result_code(error))
    return unavailable(path, f"{words} ({error})" if words else str(error))


def _result_code(error: sqlite3.Error) -> int:
    """SQLite's result code without its refinements; Python's own complaints have none."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
