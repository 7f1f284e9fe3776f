"""The WSGI application and middleware (PEP 3333): mount `embed.wsgi`, or wrap a whole application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.wsgi import get_input_stream

from ca_embed._core import HasCore
from ca_embed.http import Csrf, Request, Response, path_below, read_stream, respond
from ca_embed.http._body import announced_length, read_exactly
from ca_embed.http._gateways import without_compression
from ca_embed.http._paths import path_at_app, prefixes_below, public_root, require_mount_prefix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Middleware", "answer_environ", "read_body"]

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class WsgiApp:
    """All endpoints of an Embed, as one WSGI application."""

    def __init__(self, embed: HasCore) -> None:
        """Serve this Embed."""
        self._embed = embed
        self._public_root = public_root(embed)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        script_name, path = (_text(environ.get(name, "")) for name in ("SCRIPT_NAME", "PATH_INFO"))
        script_name = script_name.rstrip("/")  # PATH_INFO is without it
        request = _request(environ, path_at_app(script_name + path, script_name, self._public_root))
        response = respond(self._embed, request, partial(read_body, environ, request))
        start_response(_STATUS_LINES[response.status], response.headers)
        return [response.body] if response.body else []


class Middleware:
    """A whole WSGI application with an Embed under a prefix, for hosts that cannot mount.

    prefix: a path like "/chatarchitect"; by default the path of `public_url`, without SCRIPT_NAME.
    """

    def __init__(self, app: WSGIApplication, embed: HasCore, prefix: str | None = None) -> None:
        """Give requests below the prefix to the Embed, and all others to the application.

        Raises ConfigurationError for a prefix that is not a path.
        """
        mount = require_mount_prefix(embed, prefix)
        self._mount = mount.encode().decode("latin-1")  # PEP 3333: bytes as latin-1 text
        self._is_public = prefix is None
        self._app, self._endpoints = app, WsgiApp(embed)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        root_path = environ.get("SCRIPT_NAME", "") if self._is_public else ""
        prefixes = prefixes_below(self._mount, root_path)
        mounts: dict[str, WSGIApplication] = dict.fromkeys(prefixes, self._endpoints)
        return DispatcherMiddleware(self._app, mounts)(environ, start_response)


def answer_environ(
    embed: HasCore,
    environ: WSGIEnvironment,
    *,
    rest: str | None,
    native: object,
    read: Callable[[Request], bytes] | None = None,
    csrf: Callable[[], Csrf | None] | None = None,
) -> Response:
    """Answer a request of a framework that is built on WSGI, in the caller's thread.

    rest: the path below the mount, as a catch-all route has matched it; None for the bare mount.
    native: what `identify` gets, usually the framework's own request.
    read: returns the body, where the framework may have read or wrapped it; see `read_stream`.
    csrf: returns the CSRF token for the hosted page; None if the host has no CSRF protection.
    """
    request = replace(_request(environ, path_below(rest)), native=native, csrf=csrf)
    return respond(embed, request, partial(read or partial(read_body, environ), request))


def read_body(environ: WSGIEnvironment, request: Request) -> bytes:
    """Read the body of a WSGI request, 64 KiB at most. Raises UnreadableBody, BodyTooLarge."""
    length = announced_length(request)
    if length is None or "wsgi.input_terminated" in environ or "HTTP_TRANSFER_ENCODING" in environ:
        return read_stream(get_input_stream(environ), request)
    return read_exactly(environ["wsgi.input"], length, request)


def _request(environ: WSGIEnvironment, path: str) -> Request:
    headers = [
        (name, value.encode("latin-1", "replace"))
        for key, value in environ.items()
        if (name := _header_name(key)) and (value or name not in _ALWAYS_SET)
    ]
    request = Request(
        method=environ["REQUEST_METHOD"],
        path=path,
        headers=tuple(headers),
        native=environ,
        query=environ.get("QUERY_STRING", ""),
    )
    return without_compression(request)


_ALWAYS_SET = ("content-type", "content-length")  # by some servers, also for requests without a body


@lru_cache(maxsize=1024)
def _header_name(key: str) -> str | None:
    """Return the name of a header, in lower case, whose variable in the environ this is."""
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return key.lower().replace("_", "-")
    if key.startswith("HTTP_") and key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        return key[5:].lower().replace("_", "-")
    return None


def _text(native_string: str) -> str:
    """Decode a text of PEP 3333, which holds bytes as latin-1.

    Bytes that are not UTF-8 become U+FFFD, so the path matches no route (404).
    """
    if native_string.isascii():
        return native_string
    return native_string.encode("latin-1", "replace").decode("utf-8", "replace")
