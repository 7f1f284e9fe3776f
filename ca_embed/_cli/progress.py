"""How far a long command is, told to whoever watches a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta

_PAUSE = 0.1  # seconds between two looks
_WIDTH = 30  # characters
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress(
    doing: str, all_of_it: Callable[[], Iterable[object]]
) -> Generator[Callable[[int], None] | None]:
    """Give what is to be told how many are done so far; None where nobody watches.

    all_of_it: what there is to do, one by one; it is counted beforehand, where somebody watches.
    """
    if not sys.stderr.isatty():
        yield None
        return
    line = _Line()
    try:
        line.write("Counting")
        yield _Bar(doing, sum(1 for _ in all_of_it()), line).show
    finally:
        line.write("")


class _Bar:
    """A bar that grows from nothing to its full length, and the time that is left."""

    def __init__(self, doing: str, total: int, line: _Line) -> None:
        self._doing = doing
        self._total = total
        self._line = line
        self._began = time.monotonic()

    def show(self, done: int) -> None:
        """Draw it. More may come to be done than were counted."""
        total = max(done, self._total)
        bar = "#" * (_WIDTH * done // total)
        left = timedelta(seconds=round((time.monotonic() - self._began) / done * (total - done)))
        self._line.write_seldom(
            f"{self._doing} [{bar:-<{_WIDTH}}] {100 * done // total} %, {done:,} of {total:,}, {left} left"
        )


class _Line:
    """One line that is written over again and again."""

    def __init__(self) -> None:
        self._next = 0.0

    def write(self, text: str) -> None:
        """Write it now."""
        print(f"{_CLEAR_LINE}{text}", end="", file=sys.stderr, flush=True)

    def write_seldom(self, text: str) -> None:
        """Write it, unless another one was written just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PAUSE
            self.write(text)
