"""Sanic: a blueprint.

    app.blueprint(blueprint(embed))

`identify` gets the `sanic.Request`: `request.ctx` holds what your middleware added to it. In a template,
`embed.snippet()` returns the button.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import METHODS, answer, mount_prefix

with extra("sanic", user=__name__):
    from sanic import Blueprint, HTTPResponse, Request

__all__ = ["blueprint"]


def blueprint(embed: Embed, prefix: str | None = None, name: str = "chatarchitect") -> Blueprint:
    """Return a blueprint for all endpoints, below the prefix (by default the path of `public_url`)."""

    async def endpoints(request: Request, rest: str = "") -> HTTPResponse:
        response = await answer(
            embed,
            method=request.method,
            rest=rest,
            query=request.query_string,
            headers=request.headers.items(),
            native=request,
            chunks=lambda: _chunks(request),
        )
        return HTTPResponse(response.body, response.status, dict(response.headers))

    adapter = Blueprint(name, url_prefix=mount_prefix(embed, prefix))
    adapter.add_route(endpoints, "/", METHODS, name="page", stream=True)
    adapter.add_route(endpoints, "/<rest:path>", METHODS, name="endpoints", stream=True, unquote=True)
    return adapter


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream: Any = request.stream  # an asynchronous iterable, although its type is another
    async for chunk in stream:
        yield chunk
