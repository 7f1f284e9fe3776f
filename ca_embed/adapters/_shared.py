"""What the adapters share: from a framework's request, below the mount, through the core."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, AnyStr
from urllib.parse import unquote

from ca_embed import asgi
from ca_embed._host.calls import Identify
from ca_embed.embed import Embed
from ca_embed.errors import UnreadableBody
from ca_embed.http import _endpoints as http
from ca_embed.http._messages import (
    MAX_BODY,
    Csrf,
    Request,
    Response,
    announced_length,
    checked_body,
    relative_path,
)
from ca_embed.wsgi import read_body, request_from

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# An adapter's routes take all of them: which one fits which path is the core's to say.
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def prefix_of(embed: Embed, prefix: str | None) -> str:
    """Return where to mount: the prefix, or else the path of `public_url`; decoded, no slash at the end."""
    return unquote(embed.settings.public_path if prefix is None else prefix).rstrip("/")


def below(rest: str | None) -> str:
    """Return the path below the mount, from what a catch-all route has caught."""
    return relative_path("/" + (rest or ""), root_path="")


def answer_wsgi(
    embed: Embed,
    environ: WSGIEnvironment,
    *,
    rest: str | None,
    native: object,
    read: Callable[[Request], bytes] | None = None,
    csrf: Callable[[], Csrf | None] | None = None,
) -> Response:
    """Answer a request of a framework that stands on WSGI, in the thread that it gave us.

    read: gives the body, where the framework may have read or wrapped it.
    """
    request = replace(request_from(environ, native), path=below(rest), csrf=csrf)
    if read is None:
        read = partial(read_body, environ)
    return http.respond(embed, request, partial(read, request))


async def answer(
    embed: Embed,
    *,
    method: str,
    rest: str | None,
    headers: Iterable[tuple[AnyStr, AnyStr]],
    native: object,
    chunks: Callable[[], AsyncIterable[bytes]],
    identify: Identify | None = None,
    csrf: Callable[[], Csrf | None] | None = None,
) -> Response:
    """Answer a request of a framework that stands on an event loop."""
    request = Request(
        method=method,
        path=below(rest),
        headers=tuple((_text(name).lower(), _bytes(value)) for name, value in headers),
        native=native,
        identify=identify,
        csrf=csrf,
    )
    return await asgi.respond(embed, request, lambda: _collect(chunks, request))


async def _collect(chunks: Callable[[], AsyncIterable[bytes]], request: Request) -> bytes:
    """Read the body, and not a chunk more than is allowed. Raises UnreadableBody, BodyTooLarge."""
    announced_length(request)
    body = bytearray()
    try:
        async for chunk in chunks():
            body += chunk
            if len(body) > MAX_BODY:
                break
    except Exception:  # noqa: BLE001 (each framework has its own for a body that breaks off)
        raise UnreadableBody("The body ended before all of it had arrived.") from None
    return checked_body(bytes(body), request)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _bytes(value: str | bytes) -> bytes:
    return value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)
