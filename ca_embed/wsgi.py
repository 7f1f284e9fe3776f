"""The WSGI door (PEP 3333): mount `embed.wsgi` under any prefix, or wrap a whole application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import IO, TYPE_CHECKING

from werkzeug.datastructures import EnvironHeaders
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wsgi import get_input_stream

from ca_embed.errors import UnreadableBody
from ca_embed.http._endpoints import respond
from ca_embed.http._messages import (
    MAX_BODY,
    Request,
    announced_length,
    checked_body,
    mount_path,
    relative_path,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ca_embed.embed import Embed


class WsgiApp:
    """All endpoints of an Embed, as one WSGI application."""

    def __init__(self, embed: Embed) -> None:
        """Serve this Embed."""
        self._embed = embed

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = request_from(environ)
        response = respond(self._embed, request, partial(read_body, environ, request))
        phrase = HTTPStatus(response.status).phrase
        start_response(f"{response.status} {phrase}", response.headers)
        return [response.body] if response.body else []


class Middleware:
    """A whole WSGI application with an Embed under a prefix, for hosts that cannot mount.

    prefix: a path like "/chatarchitect"; by default the path of `public_url`.
    """

    def __init__(self, app: WSGIApplication, embed: Embed, prefix: str | None = None) -> None:
        """Give requests below the prefix to the Embed, and all others to the application."""
        mount = mount_path(embed.settings.public_path if prefix is None else prefix)
        self._dispatch = DispatcherMiddleware(app, {mount.encode().decode("latin-1"): embed.wsgi})  # PEP 3333

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._dispatch(environ, start_response)


def request_from(environ: WSGIEnvironment, native: object = None) -> Request:
    """Read everything but the body. `native` is what `identify` gets, by default the environ itself."""
    return Request(
        method=environ["REQUEST_METHOD"],
        path=relative_path(_text(environ.get("PATH_INFO", "")), root_path=""),
        headers=tuple(
            (name.lower(), value.encode("latin-1", "replace")) for name, value in EnvironHeaders(environ)
        ),
        native=environ if native is None else native,
    )


def read_body(environ: WSGIEnvironment, request: Request) -> bytes:
    """Read the body, and not a byte more than is allowed. Raises UnreadableBody, BodyTooLarge."""
    return read_stream(get_input_stream(environ), request)


def read_stream(stream: IO[bytes], request: Request, kept: Callable[[], bytes] = bytes) -> bytes:
    """Do the same with a stream that ends where the body ends.

    kept: gives the body if something before us has read the stream and kept what it read.
    """
    announced_length(request)
    chunks, missing = [], MAX_BODY + 1
    try:
        while missing and (chunk := stream.read(missing)):
            chunks.append(chunk)
            missing -= len(chunk)
    except Exception:  # noqa: BLE001 (each server has its own for a body that breaks off)
        raise UnreadableBody("The body ended before all of it had arrived.") from None
    return checked_body(b"".join(chunks) or kept(), request)


def _text(native_string: str) -> str:
    """Turn PEP 3333's bytes-in-latin-1 into text; what is not UTF-8 fits no route."""
    return native_string.encode("latin-1", "replace").decode("utf-8", "replace")
