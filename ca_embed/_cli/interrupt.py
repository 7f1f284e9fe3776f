"""Wait for Ctrl-C (SIGINT) or for the SIGTERM of a supervisor."""

from __future__ import annotations

import queue
import signal
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Inside the block, `wait` returns at the first signal. A second signal ends the process at once."""

    def __init__(self) -> None:
        # A signal handler may interrupt any lock; SimpleQueue.put() is safe there (reentrant).
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Install the handlers of both signals."""
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a signal, at most `seconds`. Returns whether one came."""
        try:
            self._signals.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._signals.put(number)
