"""`GET /health`: can the storage be read and written. `GET /live`: does the process answer."""

from __future__ import annotations

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed.http._messages import Request, Response, json_response
from ca_embed.http._steps import Steps, blocking


def health(core: Core, _request: Request) -> Steps[Response]:
    """Read and write the storage once; StorageUnavailable becomes 503."""
    yield from blocking(Pool.STORAGE, core.ledger.probe)
    return json_response(200, {"status": "ok"})


def live(_core: Core, _request: Request) -> Response:
    """Answer without touching anything."""
    return json_response(200, {"status": "ok"})
