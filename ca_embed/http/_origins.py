"""Which pages may ask: the rules on `Origin` and `Sec-Fetch-Site`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ca_embed.errors import ForbiddenOrigin

_NAMES = re.compile(r"[A-Za-z0-9-]+(?:,[ ]?[A-Za-z0-9-]+)*")
_OWN_PAGES = frozenset({"same-origin", "none"})


def asking_origin(
    origins: Sequence[bytes], fetch_sites: Sequence[bytes], allowed: frozenset[str]
) -> str | None:
    """Return the origin of the page that asks; None if no page of another origin does.

    origins, fetch_sites: all values of the headers Origin and Sec-Fetch-Site. A browser sends Origin
    with every POST and every cross-origin read (Fetch Standard), and a page cannot forge either.
    Raises ForbiddenOrigin.
    """
    if origins:
        origin = origins[0].decode("latin-1")
        if len(origins) > 1 or origin not in allowed:
            raise ForbiddenOrigin("the page's origin is not in parent_origins")
        return origin
    if any(site.decode("latin-1") not in _OWN_PAGES for site in fetch_sites):
        raise ForbiddenOrigin("a page of another origin asks, without saying which")
    return None


def cors_headers(origin: str | None) -> list[tuple[str, str]]:
    """Return the headers that let an allowed page read the answer (Fetch Standard, CORS)."""
    if origin is None:
        return []
    return [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true")]


def preflight_headers(methods: Sequence[str], asked_headers: str) -> list[tuple[str, str]]:
    """Return what a preflight of an allowed page is answered, beside `cors_headers`."""
    return [
        ("Access-Control-Allow-Methods", ", ".join(methods)),
        (
            "Access-Control-Allow-Headers",
            asked_headers if _NAMES.fullmatch(asked_headers) else "content-type",
        ),
        ("Access-Control-Max-Age", "600"),
    ]
