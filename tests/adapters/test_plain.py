"""No framework at all: the two doors, below a prefix of plain WSGI and ASGI applications."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from ca_embed import asgi, wsgi
from ca_embed.testing import AdapterContract, Site, serve_asgi, serve_wsgi
from tests.adapters.programs import EXAMPLES


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Answer 404, as an ASGI application would that knows no path."""
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class PlainWSGIContract(AdapterContract):
    def user_of(self, request: Any) -> str | None:
        return request.get("HTTP_X_USER")


class TestPlainWSGI(PlainWSGIContract):
    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = DispatcherMiddleware(NotFound(), {site.prefix: site.embed.wsgi})
        with serve_wsgi(app, site.listener, site.below):
            yield


class TestWSGIMiddleware(PlainWSGIContract):
    program = EXAMPLES / "wsgi_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = wsgi.Middleware(NotFound(), site.embed, site.prefix)
        with serve_wsgi(app, site.listener, site.below):
            yield


class TestASGIMiddleware(AdapterContract):
    program = EXAMPLES / "asgi_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = asgi.Middleware(nothing, site.embed, site.prefix)
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        found = dict(request["headers"]).get(b"x-user")
        return found.decode() if found else None
