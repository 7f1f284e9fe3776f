"""Litestar: a router to add to your route handlers.

    app = Litestar([..., router(embed)])

`identify` gets the `litestar.Request`: `request.user` and `request.session` work. Litestar's CSRF
protection exempts only `/webhook`, and `/staff`, which has its own. In a template, `embed.snippet()` returns
the button. If that protection is on, write `embed.snippet(csrf=csrf_token(request))`.
`on_app_init=[openapi(embed)]` adds the endpoints to your OpenAPI document.
"""
# No `from __future__ import annotations`: Litestar resolves the annotations of handlers at run time.

from collections.abc import AsyncIterator
from typing import Any

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import Csrf, answer, mount_prefix

with extra("litestar", user=__name__):
    from litestar import Request, Router, asgi
    from litestar.exceptions import NotFoundException
    from litestar.response.base import ASGIResponse
    from litestar.types import Receive, Scope, Send
    from litestar.utils.scope.state import ScopeState

    from ca_embed.adapters._litestar_openapi import openapi

__all__ = ["csrf_token", "openapi", "router"]


def router(embed: Embed, prefix: str | None = None) -> Router:
    """Return a router for all endpoints, below the prefix (by default the path of `public_url`)."""

    @asgi("/", is_mount=True, copy_scope=True)
    async def endpoints(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(embed, scope["path"], scope, receive, send)

    @asgi("/webhook", copy_scope=True, exclude_from_csrf=True)
    async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(embed, "/webhook", scope, receive, send)

    @asgi("/staff", copy_scope=True, exclude_from_csrf=True)
    async def staff(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(embed, "/staff", scope, receive, send)

    return Router(mount_prefix(embed, prefix) or "/", route_handlers=[endpoints, webhook, staff])


def csrf_token(request: Request[Any, Any, Any]) -> Csrf | None:
    """Return the header and token that Litestar's CSRF protection requires, if it is on."""
    config, token = request.app.csrf_config, ScopeState.from_scope(request.scope).csrf_token
    return Csrf(config.header_name, token) if config and isinstance(token, str) else None


async def _answer(embed: Embed, path: str, scope: Scope, receive: Receive, send: Send) -> None:
    if not path.startswith("/"):  # Litestar compares prefixes as text: this is "/mountain" for "/mount"
        raise NotFoundException
    request: Request[Any, Any, Any] = Request(scope, receive)
    response = await answer(
        embed,
        method=request.method,
        rest=path[1:],
        query=scope["query_string"],
        headers=scope["headers"],
        native=request,
        chunks=lambda: _chunks(receive),
        csrf=lambda: csrf_token(request),
    )
    native = ASGIResponse(
        body=response.body,
        status_code=response.status,
        headers=dict(response.headers),
        is_head_response=request.method == "HEAD",
    )
    await native(scope, receive, send)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    """Yield the body. `Request.stream` raises here, because a mounted application has no size limit set."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError
        yield message["body"]
        more = message["more_body"]
