"""Bottle: routes for an application.

    mount(app, embed)

`identify` gets a copy of `bottle.request`, with what your plugins and hooks put there. In a template,
`embed.snippet()` is the button.
"""

from __future__ import annotations

from bottle import Bottle, HTTPResponse, request

from ca_embed.adapters._shared import answer_wsgi, prefix_of
from ca_embed.embed import Embed
from ca_embed.http import _messages as messages
from ca_embed.wsgi import read_body, read_stream


def mount(app: Bottle, embed: Embed, prefix: str | None = None) -> None:
    """Answer all requests below the prefix (by default the path of `public_url`)."""

    def endpoints(rest: str = "") -> HTTPResponse:
        response = answer_wsgi(embed, request.environ, rest=rest, native=request.copy(), read=_read)
        return HTTPResponse(response.body, response.status, response.headers)

    path = prefix_of(embed, prefix)
    app.route([path or "/", f"{path}/", f"{path}/<rest:path>"], "ANY", endpoints)


def _read(asked: messages.Request) -> bytes:
    """Read what the server sends; Bottle's own `request.body` breaks on chunks that a server has undone."""
    if "bottle.request.body" in request.environ:
        return read_stream(request.body, asked)  # a hook has read it, and it begins again
    return read_body(request.environ, asked)
