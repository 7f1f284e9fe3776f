"""Which pages may ask: the rules on `Origin` and `Sec-Fetch-Site`."""

from __future__ import annotations

import re

from ca_embed._config import Settings
from ca_embed._log import quoted
from ca_embed._urls import origin_of
from ca_embed.errors import ForbiddenOrigin
from ca_embed.http._messages import Headers, Request

_NAMES = re.compile(r"[A-Za-z0-9-]+(?:,[ ]?[A-Za-z0-9-]+)*")
_OWN_PAGES = (b"same-origin", b"none")


def require_allowed_origin(settings: Settings, request: Request) -> str | None:
    """Return the origin of the page that asks, or None if no page of another origin asks.

    A browser sends Origin with every POST and every cross-origin read (Fetch Standard), and a page cannot
    forge it, nor Sec-Fetch-Site. Raises ForbiddenOrigin.
    """
    origins = request.all("origin")
    if origins:
        origin = _allowed_origin(settings, origins)
        if origin is None:
            named = ", ".join(quoted(one.decode("latin-1")) for one in origins[:3])
            raise ForbiddenOrigin(f"the page's origin {named} is not in parent_origins")
        return origin
    if any(site not in _OWN_PAGES for site in request.all("sec-fetch-site")):
        raise ForbiddenOrigin("a page of another origin asks and does not name it")
    return None


def require_own_page(settings: Settings, request: Request) -> None:
    """Refuse a form that no page of this mount's own origin has sent. Raises ForbiddenOrigin.

    `parent_origins` may register users, and no more. A browser sends Origin with every POST.
    """
    own = origin_of(settings.public_url).encode()
    if request.all("origin") != [own]:
        raise ForbiddenOrigin("a form of the operator's page comes from another origin")
    if any(site != b"same-origin" for site in request.all("sec-fetch-site")):
        raise ForbiddenOrigin("a form of the operator's page comes from another site")


def page_headers(settings: Settings, request: Request) -> Headers:
    """Return the headers that let a page of an allowed origin read the response (Fetch Standard, CORS)."""
    headers = [("Vary", "Origin")]
    origin = _allowed_origin(settings, request.all("origin"))
    if origin is not None:
        headers.append(("Access-Control-Allow-Origin", origin))
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return headers


def preflight_headers(method: str, asked_headers: str) -> Headers:
    """Return the headers that answer the preflight of an allowed page, besides `page_headers`."""
    allowed = asked_headers if _NAMES.fullmatch(asked_headers) else "content-type"
    return [
        ("Access-Control-Allow-Methods", method),
        ("Access-Control-Allow-Headers", allowed),
        ("Access-Control-Max-Age", "600"),
    ]


def _allowed_origin(settings: Settings, origins: list[bytes]) -> str | None:
    """Return the origin that the header names, if it names one that is allowed."""
    origin = origins[0].decode("latin-1") if len(origins) == 1 else None
    return origin if origin in settings.allowed_origins else None
