"""Calls that are repeated while something runs: so the lease of a running handler does not end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from weakref import WeakSet

_BEAT = 0.5  # seconds
_IDLE = 5.0  # seconds without anything that runs, after which the thread ends


class Heartbeat:
    """One thread for all that runs in a process, started when it is first needed."""

    _changed: threading.Condition
    _calls: dict[object, Callable[[], None]]
    _thread: threading.Thread | None

    def __init__(self) -> None:
        """Start no thread yet."""
        self._reset()
        _instances.add(self)

    @contextmanager
    def during(self, call: Callable[[], None]) -> Generator[None]:
        """Make the call twice a second while the block runs. It must not raise."""
        key = object()
        with self._changed:
            self._calls[key] = call
            self._ensure_thread()
        try:
            yield
        finally:
            with self._changed:
                self._calls.pop(key, None)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._calls = {}
        self._thread = None

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._beat, name="ca_embed heartbeat", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started: the handler runs without renewal
            return
        self._thread = thread

    def _beat(self) -> None:
        idle = 0.0
        while True:
            with self._changed:
                self._changed.wait(_BEAT)
                idle = 0.0 if self._calls else idle + _BEAT
                if idle >= _IDLE:
                    self._thread = None
                    return
                calls = list(self._calls.values())
            for call in calls:
                call()


_instances: WeakSet[Heartbeat] = WeakSet()


def _reset_all() -> None:
    """A child process has none of its parent's threads, but locks that they may have held."""
    for heartbeat in list(_instances):
        heartbeat._reset()


if hasattr(os, "register_at_fork"):  # where a process can fork at all
    os.register_at_fork(after_in_child=_reset_all)
