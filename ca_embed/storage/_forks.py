"""Keeps storage operations and forks apart.

A lock, or an open database, that is in use in one thread while another thread forks arrives in the
child in use, by a thread that does not exist there. So a fork waits until no operation is under
way, and operations wait until the fork is done.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Condition

LONGEST_OPERATION = 5.0  # seconds; the storage protocol promises it


class ForkGate:
    """Lets operations pass, and the process fork when none is under way."""

    def __init__(self, before_fork: Callable[[], None] = lambda: None) -> None:
        """`before_fork` releases what must not be inherited. It runs when no operation is under way."""
        self._before_fork = before_fork
        self._reset()
        _gates.add(self)

    @contextmanager
    def passing(self) -> Generator[None]:
        """Be under way for the length of the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Let nobody in, and wait until everybody is out."""
        with self._changed:
            self._forking = True
            self._changed.wait_for(lambda: not self._under_way, LONGEST_OPERATION)
            self._before_fork()

    def reopen_in_parent(self) -> None:
        """Let the waiting operations go on."""
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def reopen_in_child(self) -> None:
        """Begin anew: the threads that were waiting are not in this process."""
        self._reset()

    def _reset(self) -> None:
        self._changed = Condition()
        self._under_way = 0
        self._forking = False


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
