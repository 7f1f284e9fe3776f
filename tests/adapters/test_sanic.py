"""The Sanic adapter, on Sanic's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sanic import Sanic

from ca_embed.adapters.sanic import blueprint
from ca_embed.testing import AdapterContract, Site, serve_on_loop
from tests.adapters.programs import EXAMPLES


class TestSanic(AdapterContract):
    program = EXAMPLES / "sanic_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Sanic(f"host-{site.listener.getsockname()[1]}", configure_logging=False)
        app.config.TOUCHUP = False
        app.blueprint(blueprint(site.embed, site.below + site.prefix))

        @app.on_request
        async def sign_in(request: Any) -> None:
            request.ctx.user = request.headers.get("X-User")

        @asynccontextmanager
        async def served() -> AsyncIterator[None]:
            server = await app.create_server(sock=site.listener, return_asyncio_server=True)
            await server.startup()
            await server.start_serving()
            yield
            await server.close()

        with serve_on_loop(served):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.ctx.user
