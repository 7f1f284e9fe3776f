"""The Falcon adapter, for WSGI and ASGI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import falcon
import falcon.asgi

from ca_embed.adapters.falcon import mount
from ca_embed.testing import AdapterContract, Site, serve_asgi, serve_wsgi
from tests.adapters.programs import EXAMPLES


class SignIn:
    """Sets `req.context.user`, as a middleware of the host would."""

    def process_request(self, req: Any, resp: Any) -> None:
        req.context.user = req.get_header("X-User")

    async def process_request_async(self, req: Any, resp: Any) -> None:
        self.process_request(req, resp)


class FalconContract(AdapterContract):
    def user_of(self, request: Any) -> str | None:
        return request.context.user


class TestFalconWSGI(FalconContract):
    program = EXAMPLES / "falcon_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = falcon.App(middleware=[SignIn()])
        mount(app, site.embed, site.prefix)
        with serve_wsgi(app, site.listener, site.below):
            yield


class TestFalconASGI(FalconContract):
    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = falcon.asgi.App(middleware=[SignIn()])
        mount(app, site.embed, site.below + site.prefix)  # Falcon leaves the root_path in the path
        with serve_asgi(app, site.listener, site.below):
            yield
