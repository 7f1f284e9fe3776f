"""What a check of `doctor` has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. advice: what to do, if anything is to be done."""

    check: str
    result: Literal["ok", "FAIL", "left out"]
    message: str
    advice: str | None = None


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", message)


def fail(check: str, message: str, advice: str | None = None) -> Finding:
    """Something that has to be mended; without advice, the message says how."""
    return Finding(check, "FAIL", message, advice)


def left_out(check: str, why: str) -> Finding:
    """A check that could not be made, or was not asked for."""
    return Finding(check, "left out", why)
