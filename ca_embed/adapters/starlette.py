"""Starlette: routes to add to your own.

    app = Starlette(routes=[..., *routes(embed)], middleware=[Middleware(SessionMiddleware, ...)])

`identify` gets the `starlette.requests.Request`: `request.user`, `request.session` and `request.state`
work. In a template, `embed.snippet()` returns the button.
"""

from __future__ import annotations

from ca_embed._extras import extra
from ca_embed._host.identify import Identify
from ca_embed.embed import Embed
from ca_embed.http import answer, mount_prefix

with extra("starlette", user=__name__):
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.types import Receive, Scope, Send

__all__ = ["routes"]


def routes(embed: Embed, prefix: str | None = None) -> list[Route]:
    """Return routes for all endpoints, below the prefix (by default the path of `public_url`).

    The URL of the hosted page is `request.url_for("chatarchitect", rest="")`.
    """
    path = mount_prefix(embed, prefix)
    endpoint = _Endpoint(embed)
    below_it = Route(path + "/{rest:path}", endpoint, name="chatarchitect")
    return [below_it, Route(path, endpoint)] if path else [below_it]


async def _respond(embed: Embed, request: Request, rest: str, identify: Identify | None = None) -> Response:
    """Answer a request for the path `rest` below the mount. `identify` replaces that of the Embed."""
    response = await answer(
        embed,
        method=request.method,
        rest=rest,
        query=request.url.query,
        headers=request.headers.raw,
        native=request,
        chunks=request.stream,
        identify=identify,
    )
    return Response(response.body, response.status, dict(response.headers))


class _Endpoint:
    """An ASGI application. Starlette passes all methods to it, which it would not do for a function."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await _respond(self._embed, Request(scope, receive), scope["path_params"].get("rest", ""))
        await response(scope, receive, send)
