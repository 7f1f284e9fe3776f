"""The Quart adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quart import Quart, current_app, g, request

from ca_embed.adapters.quart import blueprint
from ca_embed.testing import AdapterContract, Site, serve_asgi
from tests.adapters.programs import EXAMPLES


class TestQuart(AdapterContract):
    program = EXAMPLES / "quart_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Quart("host")

        @app.before_request
        async def sign_in() -> None:
            g.user = request.headers.get("X-User")

        app.register_blueprint(blueprint(site.embed), url_prefix=site.prefix)
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return g.user

    def in_handler(self) -> None:
        assert current_app.name == "host"
