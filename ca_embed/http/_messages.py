"""Requests, responses, and the steps between them: plain values, no sockets, no framework.

A door (WSGI, ASGI, an adapter) turns its host's request into a `Request` and a `Response` back into
the host's. In between it does what the steps ask for, each in the way its host does such things:

    ReadBody   read the body, at most `MAX_BODY` bytes
    Identify   ask the host who is signed in
    Blocking   make a call that blocks, in a thread of the named pool where there is an event loop
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

from ca_embed._host.calls import Identify as IdentifyFunction
from ca_embed._host.threads import Pool
from ca_embed.errors import (
    BodyTooLarge,
    ConfigurationError,
    EmbedError,
    MethodNotAllowed,
    PartnerError,
    StorageUnavailable,
    UnreadableBody,
)

MAX_BODY = 64 * 1024

Headers: TypeAlias = list[tuple[str, str]]

# On every answer, unless the answer itself says otherwise.
_DEFAULT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Csrf(NamedTuple):
    """What the host's own CSRF protection asks of a page: a request header, and what it must say."""

    header: str
    token: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a door knows before the body is read.

    path: relative to the mount, see `relative_path`.
    headers: all of them in order, names in lower case, values as the raw bytes.
    native: what the host's `identify` gets.
    identify: finds the user of this request, where an adapter knows better than the Embed.
    csrf: gives the hosted page its token, where the host's CSRF protection guards `POST /sessions`.
    """

    method: str
    path: str
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)  # cookies are among them
    native: object = field(repr=False)
    identify: IdentifyFunction | None = None
    csrf: Callable[[], Csrf | None] | None = None

    def all(self, name: str) -> list[bytes]:
        """Return every value of a header, by its lower-case name."""
        return [value for key, value in self.headers if key == name]

    def text(self, name: str) -> str:
        """Return the values of a header as one text, joined as RFC 9110 says."""
        return ", ".join(value.decode("latin-1") for value in self.all(name))


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer. No header name occurs twice; `body` is empty where HTTP forbids one."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Read the body and go on with it."""

    then: Callable[[bytes], Step]


@dataclass(frozen=True, slots=True)
class Identify:
    """Find out who is signed in and go on with the user's id."""

    then: Callable[[str], Step]


@dataclass(frozen=True, slots=True)
class Blocking:
    """Make a blocking call, which gives the next step.

    otherwise: what to do if the Partner API fails or its pool is full; by default that is the answer.
    """

    pool: Pool
    call: Callable[[], Step]
    otherwise: Callable[[PartnerError], Step] | None = None


Step: TypeAlias = Response | ReadBody | Identify | Blocking


def json_response(
    status: int, fields: dict[str, object], headers: Iterable[tuple[str, str]] = ()
) -> Response:
    """Return fields as JSON."""
    body = json.dumps(fields).encode()
    return Response(status, [("Content-Type", "application/json"), *headers], body)


def error_response(error: EmbedError) -> Response:
    """Return an error in the guide's shape, with its code."""
    headers: Headers = []
    if isinstance(error, MethodNotAllowed):
        headers.append(("Allow", ", ".join(error.allowed)))
    if isinstance(error, StorageUnavailable):
        headers.append(("Retry-After", "5"))
    return json_response(
        error.status, {"status": "error", "code": error.code, "message": error.answer}, headers
    )


def finished(response: Response, method: str) -> Response:
    """Add the headers that every answer has, and take the body from where HTTP forbids one."""
    headers = _DEFAULT_HEADERS | dict(response.headers)
    bodyless = response.status in (204, 304)
    if bodyless:
        headers.pop("Content-Type", None)
    else:
        headers["Content-Length"] = str(len(response.body))
    body = b"" if bodyless or method == "HEAD" else response.body
    return Response(response.status, list(headers.items()), body)


def relative_path(path: str, root_path: str) -> str:
    """Return the path below the mount, beginning with a slash and ending without one.

    Hosts disagree on whether `path` includes `root_path`, and proxies on whether they strip it. So: if
    `path` is `root_path` or continues it at a slash, strip that; else drop leading segments of
    `root_path` one by one and try again.
    """
    root = root_path.rstrip("/")
    while root:
        if path == root or path.startswith(root + "/"):
            path = path[len(root) :]
            break
        _, slash, rest = root.lstrip("/").partition("/")
        root = slash + rest
    return path.removesuffix("/") or "/"


def mount_path(prefix: str) -> str:
    """Return a middleware's prefix, decoded, without its trailing slash. Raises ConfigurationError."""
    mount = unquote(prefix).rstrip("/")
    if not mount.startswith("/") or mount.startswith("//"):
        raise ConfigurationError(
            ['the prefix must be a path like "/chatarchitect": all requests below it go to the Embed']
        )
    return mount


def announced_length(request: Request) -> int | None:
    """Return the Content-Length, or None without one. Raises UnreadableBody, BodyTooLarge."""
    lengths = request.all("content-length")
    if not lengths or lengths == [b""]:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise UnreadableBody("Content-Length is not one number.")
    length = int(lengths[0])
    if length > MAX_BODY:
        raise BodyTooLarge(f"Content-Length announces {length} bytes")
    return length


def checked_body(body: bytes, request: Request) -> bytes:
    """Return a body that was read, if it is what was announced. Raises UnreadableBody, BodyTooLarge."""
    length = announced_length(request)
    if len(body) > MAX_BODY:
        raise BodyTooLarge("the body is longer than it may be")
    if length is not None and len(body) != length:
        raise UnreadableBody(f"Content-Length announced {length} bytes, {len(body)} arrived.")
    if not body and "chunked" in request.text("transfer-encoding").lower():
        raise UnreadableBody(
            "The body was sent chunked, and the server in front of the application dropped it. Have the "
            "proxy send a Content-Length, or use a server that passes chunked bodies on."
        )
    return body
