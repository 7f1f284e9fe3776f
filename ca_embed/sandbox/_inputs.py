"""Strict reading of requests. What the guide does not describe is refused, with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from werkzeug import Request

BODY_LIMIT = 64 * 1024
LANGUAGES = ("de", "en", "es", "pt", "ru")
LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)
_REGISTRATION_ID = re.compile(r"[a-z0-9]{22}")
_SESSION_FIELDS = (
    "parent_origin",
    "webhook_url",
    "partner_user_id",
    "partner_state",
    "integration",
    "lang",
)


class Refusal(Exception):
    """A request that is refused with the guide's error shape and this HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        """Store the status and the message of the response."""
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """A valid body of `create_session`, with the guide's defaults filled in."""

    parent_origin: str
    webhook_url: str
    partner_user_id: str | None
    partner_state: str | None
    integration: str
    lang: str


def json_object(request: Request) -> dict[str, object]:
    """Return the request's JSON object. Raises Refusal 400 for any other body."""
    if request.mimetype != "application/json":
        raise Refusal(400, "Invalid request body: send Content-Type: application/json")
    try:
        value = json.loads(
            request.get_data().decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError):
        raise Refusal(400, "Invalid request body: it is not JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise Refusal(400, "Invalid request body: it must be a JSON object")
    return cast("dict[str, object]", value)


def session_request(body: Mapping[str, object]) -> SessionRequest:
    """Check the fields of `create_session` against the guide's table. Raises Refusal 400."""
    given = texts(body, known=_SESSION_FIELDS)
    lang = given.get("lang", "en")
    if lang not in LANGUAGES:
        raise Refusal(400, f"Invalid lang: use one of {', '.join(LANGUAGES)}")
    return SessionRequest(
        parent_origin=_parent_origin(given.get("parent_origin", "")),
        webhook_url=_webhook_url(given.get("webhook_url", "")),
        partner_user_id=given.get("partner_user_id"),
        partner_state=given.get("partner_state"),
        integration=given["integration"] if given.get("integration", "").strip() else "Partner",
        lang=lang,
    )


def registration_id(value: object) -> str:
    """Return a registration id of the right form. Raises Refusal 400."""
    if not isinstance(value, str) or not _REGISTRATION_ID.fullmatch(value):
        raise Refusal(400, "Invalid registration id")
    return value


def retried_registration_id(body: Mapping[str, object]) -> str:
    """Return the registration id in the body of `retry_webhook`. Raises Refusal 400."""
    return registration_id(texts(body, known=("registration_id",)).get("registration_id"))


def texts(body: Mapping[str, object], *, known: tuple[str, ...]) -> dict[str, str]:
    """Return the fields. Raises Refusal 400 if one is unknown or is not text that UTF-8 can hold."""
    taken: dict[str, str] = {}
    for name, value in body.items():
        if name not in known:
            raise Refusal(400, f"Invalid request body: the fields are {', '.join(known)}")
        if not isinstance(value, str) or not _is_unicode(value):
            raise Refusal(400, f"Invalid {name}: it must be a string")
        taken[name] = value
    return taken


def _parent_origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value) or not _has_real_port(value):
        raise Refusal(400, "Invalid parent_origin: http(s)://, a host, and optionally a port")
    return value


def _webhook_url(value: str) -> str:
    if not is_printable_ascii(value) or not _has_real_port(value) or not is_deliverable(value):
        raise Refusal(400, "Invalid webhook_url: it must start with https://")
    return value


def is_deliverable(url: str) -> bool:
    """Tell whether a webhook may go to this URL: https, or plain http on this machine.

    The guide says https only. Plain http to a loopback host is the sandbox's one departure from it.
    """
    parts = urlsplit(url)
    is_local = is_loopback(url) or parts.hostname == "testserver"  # the host of Django's test client
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_local))


def is_loopback(url: str) -> bool:
    """Tell whether a URL points to this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def is_printable_ascii(text: str) -> bool:
    """Tell whether a text has visible ASCII characters only."""
    return all("!" <= character <= "~" for character in text)


def _has_real_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # JSON can hold half of a surrogate pair, UTF-8 cannot
        return False
    return True


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a field occurs twice")
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
