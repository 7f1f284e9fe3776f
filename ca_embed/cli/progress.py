"""How far a long command is, told to whoever watches a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

_PAUSE = 0.1  # seconds between two looks
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress(doing: str) -> Generator[Callable[[int], None] | None, None, None]:
    """Give what is to be told the number of records done so far; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield _Line(doing).show
    finally:
        print(_CLEAR_LINE, end="", file=sys.stderr, flush=True)


class _Line:
    """One line that is written over again and again."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._next = 0.0

    def show(self, count: int) -> None:
        """Write it, unless it was written just now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PAUSE
            print(f"{_CLEAR_LINE}{self._doing}: record {count}", end="", file=sys.stderr, flush=True)
