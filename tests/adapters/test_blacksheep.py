"""The BlackSheep adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from blacksheep import Application
from blacksheep.server.routing import Router

from ca_embed.adapters.blacksheep import mount
from ca_embed.testing import AdapterContract, Site, serve_asgi


class TestBlackSheep(AdapterContract):
    writes_zero_length = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Application(router=Router())  # by default all applications share one
        mount(app, site.embed, site.prefix)
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        found = request.get_first_header(b"X-User")
        return found.decode() if found else None
