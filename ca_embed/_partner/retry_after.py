"""The `Retry-After` header: how long the Partner API asks its callers to wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 86_400.0  # seconds; a longer wait is cut to a day

_SECONDS = re.compile(r"-?[0-9]+")


def seconds_to_wait(retry_after: str | None, date: str | None) -> float | None:
    """Return the seconds from 0 to a day that a `Retry-After` header asks to wait, None if it is unreadable.

    retry_after: the header's value, in seconds or as a time.
    date: the `Date` header of the same reply. A time counts from it, because this clock may be wrong.
    """
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        return _bounded(float(text))  # not int: it refuses a number of many digits
    until, now = _moment(text), _moment(date or "")
    return None if until is None or now is None else _bounded((until - now).total_seconds())


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
