"""A progress bar on stderr, if stderr is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta

_INTERVAL = 0.1  # seconds between two updates
_WIDTH = 30  # characters
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress(title: str, items: Callable[[], Iterable[object]]) -> Generator[Callable[[int], None] | None]:
    """Yield a function that takes the number of items done so far, or None if stderr is not a terminal.

    title: what the command does, like "Copying". items: returns the items; they are counted first.
    """
    if not sys.stderr.isatty():
        yield None
        return
    line = _TerminalLine()
    try:
        line.write("Counting")
        yield _Bar(title, sum(1 for _ in items()), line).show
    finally:
        line.write("")


class _Bar:
    """The bar, and an estimate of the time left."""

    def __init__(self, title: str, total: int, line: _TerminalLine) -> None:
        self._title = title
        self._total = total
        self._line = line
        self._began = time.monotonic()

    def show(self, done: int) -> None:
        """Draw the bar."""
        total = max(done, self._total)  # items may be added after the count
        bar = "#" * (_WIDTH * done // total)
        left = timedelta(seconds=round((time.monotonic() - self._began) / done * (total - done)))
        self._line.write_throttled(
            f"{self._title} [{bar:-<{_WIDTH}}] {100 * done // total} %, {done:,} of {total:,}, {left} left"
        )


class _TerminalLine:
    """One line of the terminal, which each write replaces."""

    def __init__(self) -> None:
        self._next = 0.0

    def write(self, text: str) -> None:
        """Replace the line now."""
        print(f"{_CLEAR_LINE}{text}", end="", file=sys.stderr, flush=True)

    def write_throttled(self, text: str) -> None:
        """Replace the line, unless the last write was just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _INTERVAL
            self.write(text)
