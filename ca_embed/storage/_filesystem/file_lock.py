"""A lock between threads and processes. The system releases it when the process that holds it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from ca_embed.errors import StorageUnavailable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02  # seconds between two attempts to take the lock


class FileLock:
    """A lock on an empty file, which is never removed. One thread of one process holds it at a time."""

    def __init__(self, path: Path) -> None:
        """Keep the path. The file is created when the lock is first taken."""
        self._path = path
        self._thread_lock = Lock()  # threads wait here, so that one thread of a process polls the file

    @contextmanager
    def held(self, deadline: float) -> Generator[None]:
        """Hold the lock for the length of the block.

        deadline: a time of `time.monotonic()`. If the lock is still taken then, raise StorageUnavailable.
        """
        if not self._thread_lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise self._timeout_error()
        try:
            descriptor = self._lock(deadline)
            try:
                yield
            finally:
                # Closing alone releases nothing while a child process has inherited the descriptor.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                os.close(descriptor)
        finally:
            self._thread_lock.release()

    def _lock(self, deadline: float) -> int:
        pause = _FIRST_PAUSE
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
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
                raise self._timeout_error()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _is_file_of(self, descriptor: int) -> bool:
        """Return False if the file was deleted or replaced meanwhile: others would lock another file."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False

    def _timeout_error(self) -> StorageUnavailable:
        return StorageUnavailable(f"{self._path} stayed locked: find the program that keeps it busy")
