"""`GET /health`: can the storage be read and written. `GET /live`: does the process answer."""

from __future__ import annotations

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed.http._messages import Request, Response, json_response
from ca_embed.http._steps import Steps, blocking


def health(core: Core, _request: Request) -> Steps[Response]:
    """Read and write the storage, at most once a second; StorageUnavailable becomes 503."""
    # A pool of one thread: those who wait for a probe hold no thread that a webhook needs.
    yield from blocking(Pool.HEALTH, core.health.check)
    return json_response(200, {"status": "ok"})


def live(_core: Core, _request: Request) -> Response:
    """Answer without touching anything."""
    return json_response(200, {"status": "ok"})
