"""Notices that a file of an open database was deleted or replaced.

A connection goes on with the file that it has opened, although the path names no file or another one.
What it commits then is lost when the process ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from ca_embed.storage._sqlite.errors import unavailable

DATABASE = ""
COMPANIONS = ("-wal", "-shm")  # SQLite creates them with the first connection and removes them with the last

OpenFiles: TypeAlias = dict[str, tuple[int, int]]
"""The device and inode of each file that the connections have open, by the ending of its path."""


def identify(path: Path, endings: Iterable[str]) -> OpenFiles:
    """Return what the paths name now. Raises StorageUnavailable if a file is missing."""
    return {ending: _identity(path, ending) for ending in endings}


def require_same(path: Path, files: OpenFiles) -> None:
    """Raise StorageUnavailable if one of the files was deleted or replaced."""
    for ending, identity in files.items():
        if _identity(path, ending) != identity:
            raise unavailable(path, _replaced(path, ending))


def _identity(path: Path, ending: str) -> tuple[int, int]:
    try:
        status = os.stat(f"{path}{ending}")  # noqa: PTH116 (a Path costs more than the call)
    except FileNotFoundError:
        raise unavailable(path, _deleted(path, ending)) from None
    return status.st_dev, status.st_ino


def is_log_deleted(path: Path) -> bool:
    """Return True if the write-ahead log is gone, so that no other process has begun a new one."""
    return path.exists() and not Path(f"{path}-wal").exists()


def _deleted(path: Path, ending: str) -> str:
    if ending == DATABASE:
        return (
            "it was deleted while it was in use: put the file back, or restart the application to begin "
            "with an empty one"
        )
    return (
        f"its file {path.name}{ending} was deleted while it was in use: stop all programs that use the "
        "database, then start them again"
    )


def _replaced(path: Path, ending: str) -> str:
    if ending == DATABASE:
        return "it was replaced while it was in use: restart the application to go on with the new file"
    return (
        f"its file {path.name}{ending} was replaced while it was in use: stop all programs that use the "
        "database, check which files belong together, then start them again"
    )
