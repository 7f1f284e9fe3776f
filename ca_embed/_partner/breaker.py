"""A circuit breaker: while the Partner API is down or asks for a pause, it is not asked about sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ca_embed.errors import PartnerBusy, PartnerRejected, PartnerTimeout, PartnerUnavailable

FAILURES = 3  # in a row, after which it opens
FIRST_PAUSE, LAST_PAUSE = 5.0, 300.0  # seconds; doubles while the Partner API stays down
RATE_LIMIT_PAUSE = 30.0  # seconds, for a 429 that names no time
LONGEST_PAUSE = 3600.0  # seconds, whatever Retry-After asks for
_PROBE_LASTS = 30.0  # seconds after which a probe that was not reported counts as lost


class Breaker:
    """Shared by the threads of a process. Closed: calls go through. Open: none does, until the pause is over.

    Then one call goes through as a probe, and its result closes the breaker or opens it again.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start closed. `clock` returns Unix seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._open_until: float | None = None
        self._probe_began: float | None = None

    @property
    def open_until(self) -> float | None:
        """When the pause ends, in Unix seconds; None if the breaker is closed."""
        with self._lock:
            return self._open_until

    def is_open(self) -> bool:
        """Tell whether no call may go through now."""
        with self._lock:
            return self._is_open(self._clock())

    def allows(self) -> bool:
        """Tell whether this call may go through now. After True, make it and `report` its result."""
        with self._lock:
            now = self._clock()
            if self._is_open(now):
                return False
            if self._open_until is None:
                return True
            if self._probe_began is not None and self._probe_began <= now < self._probe_began + _PROBE_LASTS:
                return False
            self._probe_began = now
            return True

    def report(self, result: object) -> None:
        """Learn from what a call returned or raised."""
        if isinstance(result, PartnerBusy):  # it was not called
            return
        with self._lock:
            self._probe_began = None
            if (seconds := _asked_pause(result)) is not None:
                self._open(seconds)
            elif isinstance(result, PartnerTimeout | PartnerUnavailable):
                self._failures += 1
                if self._failures >= FAILURES:
                    self._open(self._pause)
                    self._pause = min(self._pause * 2, LAST_PAUSE)
            else:
                self._failures, self._pause, self._open_until = 0, FIRST_PAUSE, None

    def pause_until(self, moment: float | None) -> None:
        """Obey the pause that another process was asked for, until that moment in Unix seconds."""
        with self._lock:
            if moment is not None and self._clock() < moment:
                self._open_until = moment

    def _is_open(self, now: float) -> bool:
        # A pause that ends too late was written by a clock that was ahead.
        return self._open_until is not None and now < self._open_until <= now + LONGEST_PAUSE + 5

    def _open(self, seconds: float) -> None:
        self._open_until = self._clock() + min(seconds, LONGEST_PAUSE)


def _asked_pause(result: object) -> float | None:
    """Return the seconds that the Partner API asks to wait, if it does."""
    if not isinstance(result, PartnerRejected | PartnerUnavailable):
        return None
    if result.retry_after is None and isinstance(result, PartnerRejected) and result.partner_status == 429:
        return RATE_LIMIT_PAUSE
    return result.retry_after
