"""BlackSheep: routes for an application.

    mount(app, embed)

`identify` gets the `blacksheep.Request`: `request.user` and `request.session` work. In a template,
`embed.snippet()` is the button.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from blacksheep import Application, Content, Request, Response, StreamedContent

from ca_embed import messages
from ca_embed.adapters._shared import METHODS, answer, prefix_of
from ca_embed.embed import Embed


def mount(app: Application, embed: Embed, prefix: str | None = None) -> None:
    """Answer all requests below the prefix (by default the path of `public_url`)."""

    async def endpoints(request: Request) -> Response:
        response = await answer(
            embed,
            method=request.method,
            rest=(request.route_values or {}).get("rest"),
            headers=request.headers,
            native=request,
            chunks=lambda: _chunks(request),
        )
        return _native(response)

    path = prefix_of(embed, prefix)
    for method in METHODS:
        app.router.add(method, path or "/", endpoints)
        app.router.add(method, path + "/{path:rest}", endpoints)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream()  # an asynchronous generator, whatever its type says
    async for chunk in stream:
        yield chunk


def _native(response: messages.Response) -> Response:
    """Turn type and length into a `Content`; BlackSheep writes these two headers itself."""
    headers = {name.lower().encode(): value.encode() for name, value in response.headers}
    kind, length = headers.pop(b"content-type", None), int(headers.pop(b"content-length", 0))
    content = kind and (
        Content(kind, response.body) if response.body else StreamedContent(kind, _nothing, length)
    )
    return Response(response.status, list(headers.items()), content or None)


async def _nothing() -> AsyncIterator[bytes]:
    """Be the body of an answer to HEAD, which has a length all the same."""
    yield b""
