"""What the lines of the log carry beside their text."""

from __future__ import annotations

from collections.abc import Mapping


def fields(reason: str, registration_id: str | None = None, **more: str) -> dict[str, str]:
    """Return the `extra` of a logging call, for JSON formatters, Sentry and the like.

    Never pass a user id: logs live longer than users.
    """
    known = {} if registration_id is None else {"registration_id": registration_id}
    return {"reason": reason, **known, **more}


def as_text(labels: Mapping[str, str]) -> str:
    """Return labels of a request as text for the end of a line, or ""."""
    return "".join(f" {name}={value}" for name, value in labels.items())


def quoted(text: str) -> str:
    """Return an outsider's text as a line may show it: in quotes, in ASCII, at most 200 characters."""
    return ascii(text[:200])
