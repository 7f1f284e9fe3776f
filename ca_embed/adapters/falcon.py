"""Falcon: a sink, for WSGI and ASGI applications alike.

    mount(app, embed)

`identify` gets the `falcon.Request`: `req.context` holds what your middleware added to it.
"""

from __future__ import annotations

import re
from typing import Any

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import Response, answer, mount_prefix
from ca_embed.wsgi import answer_environ

with extra("falcon", user=__name__):
    import falcon
    import falcon.asgi

__all__ = ["mount"]


def mount(app: falcon.App[Any, Any], embed: Embed, prefix: str | None = None) -> None:
    """Answer all requests below the prefix (by default the path of `public_url`)."""
    below_it = re.compile(re.escape(mount_prefix(embed, prefix)) + r"(?:/(?P<rest>.*))?\Z", re.DOTALL)

    def sink(req: falcon.Request, resp: falcon.Response, **caught: Any) -> None:
        _fill(resp, answer_environ(embed, req.env, rest=caught.get("rest"), native=req))

    async def async_sink(req: falcon.asgi.Request, resp: Any, **caught: Any) -> None:
        response = await answer(
            embed,
            method=req.method,
            rest=caught.get("rest"),
            query=req.query_string,
            headers=req.scope["headers"],
            native=req,
            chunks=lambda: req.stream,
        )
        _fill(resp, response)

    if isinstance(app, falcon.asgi.App):
        app.add_sink(async_sink, below_it)
    else:
        app.add_sink(sink, below_it)


def _fill(resp: falcon.Response, response: Response) -> None:
    resp.status, resp.data = response.status, response.body
    resp.set_headers(response.headers)
