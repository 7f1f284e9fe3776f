"""Pyramid: something to include.

    config.include(endpoints(embed), route_prefix="/chatarchitect")

`identify` gets the `pyramid.request.Request`: `request.authenticated_userid`, `request.identity` and
`request.session` work. Pyramid's CSRF protection lets `/webhook` pass, and nothing else of ours. In a
template, `embed.snippet(csrf=csrf_token(request))` is the button.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.interfaces import IDefaultCSRFOptions
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from ca_embed.adapters._shared import answer_wsgi
from ca_embed.embed import Embed
from ca_embed.http._messages import Csrf


def endpoints(embed: Embed, name: str = "chatarchitect") -> Callable[[Configurator], None]:
    """Return what `config.include` takes; all endpoints are below its `route_prefix`."""

    def view(request: Request) -> Response:
        response = answer_wsgi(
            embed,
            request.environ,
            rest=request.matchdict.get("rest"),
            native=request,
            csrf=partial(csrf_token, request),
        )
        return Response(app_iter=[response.body], status=response.status, headerlist=response.headers)

    def include(config: Configurator) -> None:
        config.add_route(f"{name}.webhook", r"/{rest:webhook/?}")
        config.add_route(f"{name}.page", "", inherit_slash=True)
        config.add_route(name, "/{rest:.*}")
        config.add_view(
            view, route_name=f"{name}.webhook", require_csrf=False, permission=NO_PERMISSION_REQUIRED
        )
        for route in (f"{name}.page", name):
            config.add_view(view, route_name=route, permission=NO_PERMISSION_REQUIRED)

    return include


def csrf_token(request: Request) -> Csrf | None:
    """Return what Pyramid's CSRF protection asks of a POST, if it is on."""
    options = request.registry.queryUtility(IDefaultCSRFOptions)
    if options is None or not options.require_csrf:
        return None
    return Csrf(options.header, get_csrf_token(request))
