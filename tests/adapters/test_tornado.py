"""The Tornado adapter, with XSRF cookies on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from ca_embed.adapters.tornado import rules
from ca_embed.testing import AdapterContract, Site, serve_on_loop
from tests.adapters.programs import EXAMPLES


class Base(RequestHandler):
    """Says who `current_user` is, as the base class of the host's handlers would."""

    def get_current_user(self) -> str | None:
        return self.request.headers.get("X-User")


class TestTornado(AdapterContract):
    program = EXAMPLES / "tornado_app.py"
    csrf = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Application(rules(site.embed, site.below + site.prefix, base=Base), xsrf_cookies=True)

        @asynccontextmanager
        async def served() -> AsyncIterator[None]:
            server = HTTPServer(app)
            site.listener.setblocking(False)
            server.add_socket(site.listener)
            yield
            server.stop()
            await server.close_all_connections()

        with serve_on_loop(served):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.current_user
