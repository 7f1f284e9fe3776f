"""How many lines of one kind a process may log: a flood of wrong requests must not fill the disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ca_embed._host.fork_lock import ForkLock

LINES_A_SECOND = 10
_REPORT_AFTER = 1.0  # seconds between two counts of the lines that were left out


@dataclass(slots=True)
class _Bucket:
    """A token bucket: each line takes a token, and tokens come back with time."""

    tokens: float
    filled_at: float

    def takes_token(self, now: float) -> bool:
        self.tokens = min(LINES_A_SECOND, self.tokens + (now - self.filled_at) * LINES_A_SECOND)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class LogLimit:
    """Admits some lines a second of each kind, and counts the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock that returns seconds and never runs backwards."""
        self._clock = clock
        self._lock = ForkLock()
        self._buckets: dict[str, _Bucket] = {}
        self._left_out: Counter[str] = Counter()
        self._report_at = 0.0

    def admits(self, kind: str) -> bool:
        """Tell whether a line of this kind may be logged now. Count it if not.

        kind: one of a few constants, never a text from outside.
        """
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(kind, _Bucket(LINES_A_SECOND, now))
            if bucket.takes_token(now):
                return True
            if not self._left_out:
                self._report_at = now + _REPORT_AFTER
            self._left_out[kind] += 1
            return False

    def left_out(self) -> dict[str, int]:
        """Return how many lines of each kind were left out, and begin anew. At most once a second."""
        if not self._left_out:  # almost always: no lock for that
            return {}
        with self._lock:
            if self._clock() < self._report_at:
                return {}
            counted, self._left_out = dict(self._left_out), Counter()
            return counted
