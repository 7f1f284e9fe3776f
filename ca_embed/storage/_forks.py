"""Prevents a fork during a storage operation.

If one thread holds a lock or uses a database while another thread forks, the child process gets a copy
that stays locked: the thread that would release it does not exist there. So a fork waits until no
operation is running, and operations wait until the fork is done.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Condition, RLock

LONGEST_OPERATION = 5.0  # seconds; the storage protocol promises this limit


class ForkGate:
    """Lets operations run side by side, and lets the process fork only while none is running."""

    def __init__(self, before_fork: Callable[[], None] = lambda: None) -> None:
        """`before_fork` closes what a child must not inherit. It is called when no operation is running."""
        self._before_fork = before_fork
        self._passage = _Passage(self)
        self._reset()
        _gates.add(self)

    def passing(self) -> AbstractContextManager[None]:
        """Run an operation in the block. It waits first if a fork is in progress."""
        return self._passage

    def _enter(self) -> None:
        with self._lock:
            while self._forking:
                self._changed.wait()
            self._running += 1

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            if self._forking:
                self._changed.notify_all()

    def shut(self) -> None:
        """Start no more operations, wait until the running ones have ended, then call `before_fork`."""
        with self._lock:
            self._forking = True
            self._changed.wait_for(lambda: not self._running, LONGEST_OPERATION)
            self._before_fork()

    def reopen_in_parent(self) -> None:
        """Let operations run again in the parent process, after the fork."""
        with self._lock:
            self._forking = False
            self._changed.notify_all()

    def reopen_in_child(self) -> None:
        """Reset the gate in the child process, where the threads of the parent do not exist."""
        self._reset()

    def _reset(self) -> None:
        # Taken by itself: a signal that comes while a Condition takes its lock leaves it locked for ever.
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._running = 0
        self._forking = False


class _Passage:
    """The block of one operation. All operations share it, because it keeps nothing."""

    def __init__(self, gate: ForkGate) -> None:
        self._gate = weakref.proxy(gate)

    def __enter__(self) -> None:
        self._gate._enter()

    def __exit__(self, *_raised: object) -> None:
        self._gate._leave()


_gates: weakref.WeakSet[ForkGate] = weakref.WeakSet()


def _shut_all() -> None:
    for gate in list(_gates):
        gate.shut()


def _reopen_all_in_parent() -> None:
    for gate in list(_gates):
        gate.reopen_in_parent()


def _reopen_all_in_child() -> None:
    for gate in list(_gates):
        gate.reopen_in_child()


if hasattr(os, "register_at_fork"):  # where a process can fork at all
    os.register_at_fork(
        before=_shut_all,
        after_in_parent=_reopen_all_in_parent,
        after_in_child=_reopen_all_in_child,
    )
