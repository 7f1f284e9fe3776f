"""aiohttp: routes to add to an application, or to a sub-application.

    app.add_routes(routes(embed))

`identify` gets the `aiohttp.web.Request`, with what your middleware added to it. In a template,
`embed.snippet()` returns the button.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import answer, mount_prefix

with extra("aiohttp", user=__name__):
    from aiohttp import web

__all__ = ["routes"]


def routes(embed: Embed, prefix: str | None = None) -> list[web.RouteDef]:
    """Return routes for all endpoints, below the prefix (by default the path of `public_url`)."""

    async def endpoints(request: web.Request) -> web.Response:
        response = await answer(
            embed,
            method=request.method,
            rest=request.match_info.get("rest"),
            query=request.rel_url.raw_query_string,
            headers=request.raw_headers,
            native=request,
            chunks=lambda: _chunks(request),
        )
        return web.Response(body=response.body, status=response.status, headers=response.headers)

    path = mount_prefix(embed, prefix)
    below_it = web.route("*", path + "/{rest:.*}", endpoints, name="chatarchitect")
    return [below_it, web.route("*", path, endpoints)] if path else [below_it]


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body. If a middleware has read it already, aiohttp has kept it."""
    read_before = True
    async for chunk in request.content.iter_any():
        read_before = False
        yield chunk
    if read_before:
        yield await request.read()
