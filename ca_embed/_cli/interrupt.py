"""Commands that run until they are interrupted, by Ctrl-C (SIGINT) or by a supervisor (SIGTERM)."""

from __future__ import annotations

import queue
import signal
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within the block, the first signal is waited for; a second one ends the process at once."""

    def __init__(self) -> None:
        # Of all that one can wait for, a SimpleQueue is what a signal handler may safely touch.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Take over both signals."""
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a signal, at most so long. Tells whether one came."""
        try:
            self._signals.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        self._signals.put(number)
