"""AWS Lambda, behind a function URL, an API gateway or a load balancer, with Mangum.

    handler = lambda_handler(embed)          # ca_embed alone, or:
    handler = lambda_handler(embed, app)     # in front of your own ASGI application

`identify` gets the ASGI scope; `scope["aws.event"]` is the event that Lambda received. For a WSGI
application use apig-wsgi: `make_lambda_handler(ca_embed.wsgi.Middleware(app, embed))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ca_embed._extras import extra
from ca_embed.asgi import Middleware
from ca_embed.embed import Embed

with extra("aws", user=__name__):
    from mangum import Mangum
    from mangum.handlers import HTTPGateway

if TYPE_CHECKING:
    from asgiref.typing import ASGI3Application
    from mangum.types import Response

__all__ = ["lambda_handler"]


def lambda_handler(embed: Embed, app: ASGI3Application | None = None, prefix: str | None = None) -> Mangum:
    """Return a Lambda handler for all endpoints, below the prefix (by default the path of `public_url`)."""
    app = Middleware(app or _not_found, embed, prefix)
    return Mangum(app, lifespan="off", custom_handlers=[_HTTPGateway])


class _HTTPGateway(HTTPGateway):
    """Sends no Content-Type without a body. For a function URL or an HTTP API, Mangum would send JSON's."""

    def __call__(self, response: Response) -> dict[str, Any]:
        answer = super().__call__(response)
        if response["status"] in (204, 304):
            answer["headers"].pop("content-type", None)
        return answer


async def _not_found(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 (ASGI passes all three)
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Not found"})
