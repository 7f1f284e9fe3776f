"""Pyramid: a function for `config.include`.

    config.include(endpoints(embed), route_prefix="/chatarchitect")

`identify` gets the `pyramid.request.Request`: `request.authenticated_userid`, `request.identity` and
`request.session` work. Pyramid's CSRF protection exempts only `/webhook`, and `/staff`, which has
its own. In a template, `embed.snippet(csrf=csrf_token(request))` returns the button.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import Csrf
from ca_embed.wsgi import answer_environ

with extra("pyramid", user=__name__):
    from pyramid.config import Configurator
    from pyramid.csrf import get_csrf_token
    from pyramid.interfaces import IDefaultCSRFOptions
    from pyramid.request import Request
    from pyramid.response import Response
    from pyramid.scripting import prepare
    from pyramid.security import NO_PERMISSION_REQUIRED
    from pyramid.threadlocal import get_current_request

__all__ = ["csrf_token", "endpoints"]


def endpoints(embed: Embed, name: str = "chatarchitect") -> Callable[[Configurator], None]:
    """Return a function for `config.include`. All endpoints are below its `route_prefix`."""

    def view(request: Request) -> Response:
        response = answer_environ(
            embed,
            request.environ,
            rest=request.matchdict.get("rest"),
            native=request,
            csrf=partial(csrf_token, request),
        )
        return Response(app_iter=[response.body], status=response.status, headerlist=response.headers)

    def include(config: Configurator) -> None:
        config.registry[f"ca_embed.{name}"] = embed  # `ca-embed --app` finds it there
        embed._core.handlers.context = partial(_threadlocals, config.registry)
        config.add_route(f"{name}.exempt", r"/{rest:(?:webhook|staff)/?}")
        config.add_route(f"{name}.page", "", inherit_slash=True)
        config.add_route(name, "/{rest:.*}")
        config.add_view(
            view, route_name=f"{name}.exempt", require_csrf=False, permission=NO_PERMISSION_REQUIRED
        )
        for route in (f"{name}.page", name):
            config.add_view(view, route_name=route, permission=NO_PERMISSION_REQUIRED)

    return include


def _threadlocals(registry: Any) -> AbstractContextManager[Any]:
    """Return the current registry and a request for a handler. Within a request they are there already."""
    return nullcontext() if get_current_request() is not None else prepare(registry=registry)


def csrf_token(request: Request) -> Csrf | None:
    """Return the header and token that Pyramid's CSRF protection requires, if it is on."""
    options = request.registry.queryUtility(IDefaultCSRFOptions)
    if options is None or not options.require_csrf:
        return None
    return Csrf(options.header, get_csrf_token(request))
