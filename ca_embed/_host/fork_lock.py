"""A lock that is free in a child process, whatever the threads of its parent held at the fork."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet


class ForkLock:
    """A `threading.Lock` that a fork makes anew in the child."""

    def __init__(self) -> None:
        """Begin free."""
        self._lock = threading.Lock()
        _locks.add(self)

    def acquire(self, timeout: float = -1) -> bool:
        """Take the lock. False if it is not free within `timeout` seconds; -1 waits without end."""
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


_locks: WeakSet[ForkLock] = WeakSet()


def _free_all() -> None:
    for one in list(_locks):
        one._lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # where a process can fork at all
    os.register_at_fork(after_in_child=_free_all)
