"""The Starlette adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette

from ca_embed.adapters.starlette import routes
from ca_embed.testing import AdapterContract, Site, serve_asgi
from tests.adapters.programs import EXAMPLES


class TestStarlette(AdapterContract):
    program = EXAMPLES / "starlette_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Starlette(routes=routes(site.embed, site.prefix))
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("x-user")
