"""The FastAPI adapter, with `identify` and with a dependency."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from ca_embed.adapters.fastapi import router
from ca_embed.testing import AdapterContract, Site, serve_asgi


class TestFastAPI(AdapterContract):
    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = FastAPI()
        app.include_router(router(site.embed, site.prefix))
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("x-user")
