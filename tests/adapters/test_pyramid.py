"""The Pyramid adapter, with required CSRF tokens and a default permission."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.threadlocal import get_current_registry, get_current_request

from ca_embed.adapters.pyramid import endpoints
from ca_embed.testing import AdapterContract, Site, serve_wsgi
from tests.adapters.programs import EXAMPLES


class Policy:
    """Signs in by a header, and permits nothing."""

    def identity(self, request: Any) -> str | None:
        return request.headers.get("X-User")

    authenticated_userid = identity

    def permits(self, request: Any, context: Any, permission: str) -> bool:
        return False


class TestPyramid(AdapterContract):
    program = EXAMPLES / "pyramid_app.py"
    csrf = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        with Configurator(settings={"crm.name": "host"}) as config:
            config.set_security_policy(Policy())
            config.set_default_permission("view")
            config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
            config.set_default_csrf_options(require_csrf=True)
            config.include(endpoints(site.embed), route_prefix=site.prefix)
            app = config.make_wsgi_app()
        with serve_wsgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.authenticated_userid

    def in_handler(self) -> None:
        if not on_event_loop():  # it has a thread of its own, without threadlocals, also in a request
            assert get_current_request().registry is get_current_registry()
            assert get_current_registry().settings["crm.name"] == "host"


def on_event_loop() -> bool:
    """Tell whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
