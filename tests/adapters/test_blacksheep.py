"""The BlackSheep adapter, also under BlackSheep's anti-forgery validation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from blacksheep import Application
from blacksheep.server.csrf import AntiForgeryHandler
from blacksheep.server.routing import Router

from ca_embed.adapters.blacksheep import mount
from ca_embed.testing import AdapterContract, Site, serve_asgi
from ca_embed.testing._adapter_host import running
from tests.adapters.programs import EXAMPLES


class TestBlackSheep(AdapterContract):
    program = EXAMPLES / "blacksheep_app.py"
    writes_zero_length = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Application(router=Router())  # by default all applications share one
        mount(app, site.embed, site.prefix)
        if self.csrf:
            app.middlewares.append(AntiForgeryHandler())
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        found = request.get_first_header(b"X-User")
        return found.decode() if found else None


class Guarded(TestBlackSheep):
    """Not for the whole suite: the validation itself fails over a cookie that is no text."""

    csrf = True


def test_anti_forgery() -> None:
    """Under the validation the webhook needs no token, and a session needs the one of the page."""
    guarded = Guarded()
    with running(guarded, prefix="/chatarchitect") as host:
        guarded.test_csrf(host)
        guarded.test_full_flow(host)
        guarded.test_trailing_slash(host)
