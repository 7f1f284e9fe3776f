"""A lock that threads and processes share, and that dies with its holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from ca_embed.errors import StorageUnavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.02  # seconds between two looks at a lock that is taken


class FileLock:
    """Locks a file for one thread of one process at a time. The file stays; it is empty."""

    def __init__(self, path: Path) -> None:
        """The file is created when the lock is first taken."""
        self._path = path
        self._turn = Lock()  # the threads of a process wait here, so that only one asks the system

    @contextmanager
    def held(self, deadline: float) -> Generator[None]:
        """Hold the lock for the length of the block. Raises StorageUnavailable if it is not free in time."""
        if not self._turn.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise self._taken()
        try:
            descriptor = self._lock(deadline)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also where a child process has inherited it
                os.close(descriptor)
        finally:
            self._turn.release()

    def _lock(self, deadline: float) -> int:
        pause = FIRST_PAUSE
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_file_of(descriptor):
                    return descriptor
            except BlockingIOError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if time.monotonic() >= deadline:
                raise self._taken()
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _is_file_of(self, descriptor: int) -> bool:
        """A lock on a file that was deleted meanwhile keeps nobody out."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _taken(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self._path} stayed locked: see which other program keeps it busy")
