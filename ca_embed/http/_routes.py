"""Which endpoint answers which request, and what every response has in common."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod
from werkzeug.routing import Map, RequestRedirect, Rule

from ca_embed._core import Core
from ca_embed._frames import clear_locals
from ca_embed._log import fields
from ca_embed.errors import EmbedError, MethodNotAllowed, NotFound, RecordUnreadable, RequestError
from ca_embed.http import _health, _page, _sessions, _webhook
from ca_embed.http._log import request_fields, request_label
from ca_embed.http._messages import Headers, Request, Response, error_response, finished
from ca_embed.http._origins import page_headers
from ca_embed.http._steps import Steps

logger = logging.getLogger("ca_embed")


_Refusal: TypeAlias = Callable[[Core, Request, EmbedError], Response]


def _json_refusal(_core: Core, _request: Request, error: EmbedError) -> Response:
    return error_response(error)


@dataclass(frozen=True, slots=True)
class _Route:
    """An endpoint and what is to be known about it before it runs.

    name: the first word of its lines in the log.
    endpoint: gets the core, the request and the variables of the path. One that waits for nothing is a
        plain function.
    cors: pages of other allowed origins may read its responses.
    refusal: makes the response to a request that is refused.
    """

    name: str
    endpoint: Callable[..., Steps[Response] | Response]
    cors: bool = False
    refusal: _Refusal = _json_refusal


def _rule(method: str, path: str, route: _Route) -> Rule:
    return Rule(path, methods=[method], endpoint=route)


_ROUTES = Map(
    [
        _rule("GET", "/", _Route("page", _page.hosted_page, refusal=_page.refused_page)),
        _rule("POST", "/sessions", _Route("sessions", _sessions.create_session, cors=True)),
        _rule("GET", "/sessions", _Route("registrations", _sessions.list_registrations, cors=True)),
        _rule("OPTIONS", "/sessions", _Route("sessions", _sessions.preflight_post, cors=True)),
        _rule(
            "GET", "/sessions/<registration_id>", _Route("session", _sessions.show_registration, cors=True)
        ),
        _rule(
            "OPTIONS",
            "/sessions/<registration_id>",
            _Route("session", _sessions.preflight_get, cors=True),
        ),
        _rule("POST", "/sessions/<registration_id>/step", _Route("step", _sessions.note_step, cors=True)),
        _rule(
            "OPTIONS",
            "/sessions/<registration_id>/step",
            _Route("step", _sessions.preflight_post, cors=True),
        ),
        _rule("POST", "/webhook", _Route("webhook", _webhook.webhook)),
        _rule("GET", "/ca-embed.js", _Route("asset", _page.script)),
        _rule("GET", "/ca-embed.<digest>.js", _Route("hashed_asset", _page.hashed_script)),
        _rule("GET", "/health", _Route("health", _health.health)),
        _rule("GET", "/live", _Route("live", _health.live)),
    ],
    merge_slashes=False,
)


def response_to(core: Core, request: Request) -> Steps[Response]:
    """Find the endpoint of a request, run it, and complete its response. An error becomes a response too."""
    name, extra_headers = "request", Headers()
    _log_left_out(core)
    refusal: _Refusal = _json_refusal
    try:
        route, values = _match(request)
        name, refusal = route.name, route.refusal
        if route.cors:
            extra_headers = page_headers(core.settings, request)
        answered = route.endpoint(core, request, **values)
        response = answered if isinstance(answered, Response) else (yield from answered)
    except EmbedError as error:
        clear_locals(error)  # the log's handlers get it
        _log_refusal(core, name, error, request)
        response = refusal(core, request, error)
    return finished(response, request.method, extra_headers)


def _match(request: Request) -> tuple[_Route, dict[str, str]]:
    if not request.path.startswith("/") or request.path.startswith("//"):  # werkzeug would accept both
        raise NotFound("no such path")
    try:
        route, values = _ROUTES.bind("mount").match(request.path, request.method)
        return route, dict(values)
    except WrongMethod as error:
        raise MethodNotAllowed(sorted(error.valid_methods or ())) from None
    except (HTTPException, RequestRedirect):
        raise NotFound("no such path") from None


def _log_refusal(core: Core, name: str, error: EmbedError, request: Request) -> None:
    reason = error.reason if isinstance(error, RequestError) else error.code
    level = logging.DEBUG if isinstance(error, NotFound | MethodNotAllowed) else logging.WARNING
    if level != logging.DEBUG and not core.refusals.admits(f"{name} reason={reason}"):
        return
    registration_id = error.registration_id if isinstance(error, RecordUnreadable) else None
    extra = fields(reason, registration_id, **request_fields(request))
    logger.log(level, "%s reason=%s (%s)%s", name, reason, error, request_label(request), extra=extra)


def _log_left_out(core: Core) -> None:
    """Log how many refusals of each kind were not logged, so that a flood shows in a few lines."""
    for kind, count in core.refusals.left_out().items():
        logger.warning("%s ... and %d more", kind, count)
