"""The aiohttp adapter, on aiohttp's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web

from ca_embed.adapters.aiohttp import routes
from ca_embed.testing import AdapterContract, Site, serve_on_loop, signed_webhook
from tests.adapters.programs import EXAMPLES

USER = web.RequestKey("user", str | None)


@web.middleware
async def sign_in(request: web.Request, handler: Any) -> web.StreamResponse:
    """Set `request[USER]`, as a middleware of the host would."""
    request[USER] = request.headers.get("X-User")
    if "X-Read-Before" in request.headers:
        await request.read()
    return await handler(request)


class TestAiohttp(AdapterContract):
    program = EXAMPLES / "aiohttp_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = web.Application(middlewares=[sign_in])
        if site.below:
            inner = web.Application()
            inner.add_routes(routes(site.embed, site.prefix))
            app.add_subapp(site.below, inner)
        else:
            app.add_routes(routes(site.embed, site.prefix))

        @asynccontextmanager
        async def served() -> AsyncIterator[None]:
            runner = web.AppRunner(app)
            await runner.setup()
            await web.SockSite(runner, site.listener).start()
            yield
            await runner.cleanup()

        with serve_on_loop(served):
            yield

    def user_of(self, request: Any) -> str | None:
        return request[USER]

    def test_body_read_before(self, host: Any) -> None:
        """A webhook survives a middleware that reads it."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="read-before")
        sent = [*headers.items(), ("X-Read-Before", "yes")]
        assert host.send("POST", "/webhook", sent, body).status == 200
