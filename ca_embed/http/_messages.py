"""Requests and responses as plain values: no socket, no framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

from ca_embed._host.identify import Identify
from ca_embed.assets._html import Csrf
from ca_embed.errors import EmbedError, MethodNotAllowed, StorageUnavailable, TooManySessions

Headers: TypeAlias = list[tuple[str, str]]

# Every response has these, unless it sets its own.
_DEFAULT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request before its body is read.

    method: in capitals.
    path: below the mount, see `relative_path`.
    headers: all of them in order; names in lower case, values as raw bytes.
    native: what the host's `identify` gets.
    identify: how to find the user of this request; by default the `identify` of the Embed.
    csrf: returns the CSRF token for the hosted page; None if the host has no CSRF protection.
    query: what is behind the question mark of the URL, still percent-encoded.
    """

    method: str
    path: str
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)  # cookies are among them
    native: object = field(repr=False)
    identify: Identify | None = None
    csrf: Callable[[], Csrf | None] | None = None
    query: str = ""
    _values: dict[str, list[bytes]] = field(init=False, repr=False, compare=False)  # of each header

    def __post_init__(self) -> None:
        """Sort the headers by name: many are looked up more than once."""
        values: dict[str, list[bytes]] = {}
        for name, value in self.headers:
            values.setdefault(name, []).append(value)
        object.__setattr__(self, "_values", values)

    def without_header(self, name: str) -> Request:
        """Return this request without a header. `name` is in lower case."""
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] != name))

    def all(self, name: str) -> list[bytes]:
        """Return every value of a header. `name` is in lower case."""
        return self._values.get(name, [])

    def text(self, name: str) -> str:
        """Return the values of a header as one text, joined by commas (RFC 9110, 5.3)."""
        return b", ".join(self.all(name)).decode("latin-1")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. No header name occurs twice; `body` is empty where HTTP forbids one."""

    status: int
    headers: Headers
    body: bytes


def json_response(
    status: int, fields: dict[str, object], headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """Return the fields as JSON."""
    body = json.dumps(fields).encode()
    return Response(status, [("Content-Type", "application/json"), *headers], body)


def error_response(error: EmbedError) -> Response:
    """Return an error in the guide's shape, with its code."""
    headers: Headers = []
    if isinstance(error, MethodNotAllowed):
        headers.append(("Allow", ", ".join(error.allowed)))
    if isinstance(error, StorageUnavailable):
        headers.append(("Retry-After", "5"))
    if isinstance(error, TooManySessions):
        headers.append(("Retry-After", str(error.retry_after)))
    headers.append(("Content-Type", "application/json"))
    return Response(error.status, headers, _error_body(error.code, error.answer))


@lru_cache(maxsize=64)
def _error_body(code: str, message: str) -> bytes:
    return json.dumps({"status": "error", "code": code, "message": message}).encode()


def finished(response: Response, method: str, extra_headers: Iterable[tuple[str, str]]) -> Response:
    """Add the extra headers and those of every response; drop the body where HTTP forbids one."""
    headers = _DEFAULT_HEADERS | dict(response.headers) | dict(extra_headers)
    bodyless = response.status in (204, 304)
    if bodyless:
        headers.pop("Content-Type", None)
    else:
        headers["Content-Length"] = str(len(response.body))
    body = b"" if bodyless or method == "HEAD" else response.body
    return Response(response.status, list(headers.items()), body)
