"""The Bottle adapter, with a hook that reads the body first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bottle import Bottle, request

from ca_embed.adapters.bottle import mount
from ca_embed.testing import AdapterContract, Site, serve_wsgi


class TestBottle(AdapterContract):
    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Bottle()
        mount(app, site.embed, site.prefix)

        @app.hook("before_request")
        def sign_in() -> None:
            request.user = request.get_header("X-User")

        with serve_wsgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.user
