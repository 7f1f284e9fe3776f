"""Bottle: routes for an application.

    mount(app, embed)

`identify` gets a copy of `bottle.request`, with what your plugins and hooks added to it. In a template,
`embed.snippet()` returns the button.
"""

from __future__ import annotations

from ca_embed import http
from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import mount_prefix, read_stream
from ca_embed.wsgi import answer_environ, read_body

with extra("bottle", user=__name__):
    from bottle import Bottle, HTTPResponse, request

__all__ = ["mount"]


def mount(app: Bottle, embed: Embed, prefix: str | None = None) -> None:
    """Answer all requests below the prefix (by default the path of `public_url`)."""

    def endpoints(rest: str = "") -> HTTPResponse:
        response = answer_environ(embed, request.environ, rest=rest, native=request.copy(), read=_body)
        return HTTPResponse(response.body, response.status, response.headers)

    path = mount_prefix(embed, prefix)
    app.route([path or "/", f"{path}/", f"{path}/<rest:path>"], "ANY", endpoints)


def _body(asked: http.Request) -> bytes:
    """Read from the server: `request.body` fails if the server has already decoded the chunks."""
    if "bottle.request.body" in request.environ:
        return read_stream(request.body, asked)  # a hook has read it; this reads it again
    return read_body(request.environ, asked)
