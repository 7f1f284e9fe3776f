"""BlackSheep: routes for an application.

    mount(app, embed)

`identify` gets the `blacksheep.Request`: `request.user` and `request.session` work. The adapter
exempts `/webhook` from BlackSheep's anti-forgery validation, and `/staff`, which has its own. In a template,
`embed.snippet(csrf=csrf_token(app, request))` returns the button.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ca_embed import http
from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import METHODS, Csrf, answer, mount_prefix

with extra("blacksheep", user=__name__):
    from blacksheep import Application, Content, Request, Response, StreamedContent
    from blacksheep.server.csrf import AntiForgeryHandler, ignore_anti_forgery

__all__ = ["csrf_token", "mount"]


def mount(app: Application, embed: Embed, prefix: str | None = None) -> None:
    """Answer all requests below the prefix (by default the path of `public_url`)."""

    async def respond(request: Request, rest: str | None) -> Response:
        response = await answer(
            embed,
            method=request.method,
            rest=rest,
            query=request.url.query or b"",
            headers=request.headers,
            native=request,
            chunks=lambda: _chunks(request),
            csrf=lambda: csrf_token(app, request),
        )
        return _native(response)

    async def endpoints(request: Request) -> Response:
        return await respond(request, (request.route_values or {}).get("rest"))

    async def webhook(request: Request) -> Response:
        return await respond(request, "webhook")

    async def staff(request: Request) -> Response:
        return await respond(request, "staff")

    vars(app)["ca_embed"] = embed  # `ca-embed --app` finds it there
    path = mount_prefix(embed, prefix)
    app.router.add("POST", path + "/webhook", ignore_anti_forgery()(webhook))
    app.router.add("POST", path + "/staff", ignore_anti_forgery()(staff))
    for method in METHODS:
        app.router.add(method, path or "/", endpoints)
        app.router.add(method, path + "/{path:rest}", endpoints)


def csrf_token(app: Application, request: Request) -> Csrf | None:
    """Return the header and token that BlackSheep's anti-forgery validation requires, if it is on."""
    for middleware in app.middlewares:
        if isinstance(middleware, AntiForgeryHandler):
            return Csrf(middleware.header_name, middleware.get_tokens(request)[1])
    return None


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream()  # an asynchronous generator, although its type is another
    async for chunk in stream:
        yield chunk


def _native(response: http.Response) -> Response:
    """Give Content-Type and Content-Length to a `Content`: BlackSheep writes these two headers itself."""
    headers = {name.lower().encode(): value.encode() for name, value in response.headers}
    kind, length = headers.pop(b"content-type", None), int(headers.pop(b"content-length", 0))
    content = kind and (
        Content(kind, response.body) if response.body else StreamedContent(kind, _nothing, length)
    )
    return Response(response.status, list(headers.items()), content or None)


async def _nothing() -> AsyncIterator[bytes]:
    """Yield the body of a response to HEAD, which is empty although the response has a length."""
    yield b""
