"""The result of one check of `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    message: what was found. advice: what to do, if it failed or warns, else None.
    """

    check: str
    result: Literal["ok", "warning", "failed", "skipped"]
    message: str
    advice: str | None = None


def ok(check: str, message: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(check, "ok", message)


def fail(check: str, message: str, advice: str) -> Finding:
    """Return the finding of a check that failed. advice: what to do, as whole sentences."""
    return Finding(check, "failed", message, advice)


def warn(check: str, message: str, advice: str) -> Finding:
    """Return a finding of something that works now and may fail later. advice: as for `fail`."""
    return Finding(check, "warning", message, advice)


def skip(check: str, why: str) -> Finding:
    """Return the finding of a check that was not made. why: the reason."""
    return Finding(check, "skipped", why)
