"""The knobs: what the sandbox does wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

Deliveries = Literal["normal", "lost", "duplicate", "late", "wrong_signature", "stale_timestamp"]
Outcome = Literal["ask", "success", "fail", "cancel"]

_YEAR = 366 * 86_400


@dataclass(slots=True, kw_only=True)
class Knobs:
    """What the sandbox does wrong on purpose. The defaults follow the guide. Set a field to change one.

    A wrong value raises ValueError, an unknown name AttributeError. `update()` sets several fields at
    once, `reset()` sets all of them back.

    Calls of the Partner API:

    - `api_delay`: seconds before each response.
    - `api_status`: every call fails with this HTTP status, 400 to 599. None: calls work.
    - `api_retry_after`: whole seconds in the `Retry-After` header of each call that fails by `api_status`.
      None: no such header.
    - `api_garbage`: every call gets status 200 and HTML instead of JSON.
    - `api_redirect`: every call gets status 307 and a Location.
    - `iframe_url_override`: the `iframe_url` of new sessions. None: the real one.
    - `expires_in`: seconds until a new session expires.

    Webhooks, at completion and at `retry_webhook`:

    - `deliveries`: "normal"; "lost": counted as an attempt, but not sent; "duplicate": the same
      webhook twice at the same moment; "late": after `late_seconds`; "wrong_signature": signed with an
      unknown token; "stale_timestamp": signed an hour ago.
    - `late_seconds`: seconds that "late" waits.

    The page:

    - `outcome`: the end of Meta's signup. "ask": the person chooses; "success", "fail" and "cancel": at
      once.
    """

    api_delay: float = 0.0
    api_status: int | None = None
    api_retry_after: int | None = None
    api_garbage: bool = False
    api_redirect: bool = False
    iframe_url_override: str | None = None
    expires_in: float = 3600.0
    deliveries: Deliveries = "normal"
    late_seconds: float = 5.0
    outcome: Outcome = "ask"

    def __setattr__(self, name: str, value: object) -> None:
        """Set a field. Raises ValueError for a wrong value, AttributeError for an unknown name."""
        object.__setattr__(self, name, _checked(name, value))

    def update(self, changes: Mapping[str, object]) -> None:
        """Set several fields. If one is wrong, it raises ValueError or AttributeError and sets none."""
        checked = {name: _checked(name, value) for name, value in changes.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Set every field back to its default, which follows the guide."""
        for field in fields(self):
            setattr(self, field.name, field.default)


def _checked(name: str, value: object) -> object:
    if name not in _CHECKS:
        raise AttributeError(f"no knob is called {name!r}; use one of {', '.join(_CHECKS)}")
    expected, fits = _CHECKS[name]
    if not fits(value):
        raise ValueError(f"{name} must be {expected}")
    return value


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _YEAR


def _is_error_status(value: object) -> bool:
    return value is None or (type(value) is int and 400 <= value <= 599)


def _is_whole_seconds(value: object) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _YEAR)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


_SECONDS = ("a number of seconds, 0 to one year", _is_seconds)
_FLAG = ("true or false", _is_flag)

_CHECKS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "api_delay": _SECONDS,
    "api_status": ("an HTTP status from 400 to 599, or none", _is_error_status),
    "api_retry_after": ("a whole number of seconds, 0 to one year, or none", _is_whole_seconds),
    "api_garbage": _FLAG,
    "api_redirect": _FLAG,
    "iframe_url_override": ("a text, or none", _is_text_or_none),
    "expires_in": _SECONDS,
    "deliveries": (f"one of {', '.join(get_args(Deliveries))}", get_args(Deliveries).__contains__),
    "late_seconds": _SECONDS,
    "outcome": (f"one of {', '.join(get_args(Outcome))}", get_args(Outcome).__contains__),
}
