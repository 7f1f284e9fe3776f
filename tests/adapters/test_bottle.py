"""The Bottle adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bottle import Bottle, request

from ca_embed.adapters.bottle import mount
from ca_embed.testing import AdapterContract, Site, serve_wsgi, signed_webhook
from tests.adapters.programs import EXAMPLES


class TestBottle(AdapterContract):
    program = EXAMPLES / "bottle_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Bottle()
        mount(app, site.embed, site.prefix)

        @app.hook("before_request")
        def sign_in() -> None:
            request.user = request.get_header("X-User")
            if request.get_header("X-Read-Before"):
                request.body.read()

        with serve_wsgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.user

    def test_body_read_before(self, host: Any) -> None:
        """A webhook survives a hook that reads it."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="read-before")
        sent = [*headers.items(), ("X-Read-Before", "yes")]
        assert host.send("POST", "/webhook", sent, body).status == 200
