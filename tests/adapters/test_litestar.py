"""The Litestar adapter, under Litestar's CSRF protection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litestar import Litestar
from litestar.config.csrf import CSRFConfig

from ca_embed.adapters.litestar import router
from ca_embed.testing import AdapterContract, Site, serve_asgi
from tests.adapters.programs import EXAMPLES


class TestLitestar(AdapterContract):
    program = EXAMPLES / "litestar_app.py"
    csrf = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        config = CSRFConfig(secret="fake-secret-of-the-host")
        app = Litestar([router(site.embed, site.prefix)], csrf_config=config, openapi_config=None)
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("X-User")
