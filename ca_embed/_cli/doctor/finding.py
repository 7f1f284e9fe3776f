"""What a check of `doctor` has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. advice: what to do, if the check failed."""

    check: str
    result: Literal["ok", "failed", "skipped"]
    message: str
    advice: str | None = None


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", message)


def fail(check: str, message: str, advice: str) -> Finding:
    """Something that has to be mended, and how."""
    return Finding(check, "failed", message, advice)


def skip(check: str, why: str) -> Finding:
    """A check that could not be made, or was not asked for."""
    return Finding(check, "skipped", why)
