"""Which endpoint answers which request, and what every response has in common."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod
from werkzeug.routing import Map, RequestRedirect, Rule

from ca_embed._core import Core
from ca_embed._frames import clear_locals
from ca_embed._log import as_text, fields
from ca_embed.errors import EmbedError, MethodNotAllowed, NotFound, RequestError
from ca_embed.http import _health, _operations, _page, _sessions, _staff, _webhook
from ca_embed.http._etag import revalidated
from ca_embed.http._log import request_fields
from ca_embed.http._messages import Headers, Request, Response, error_response, finished
from ca_embed.http._openapi import Endpoint, Operation, document
from ca_embed.http._origins import page_headers
from ca_embed.http._steps import Steps

logger = logging.getLogger("ca_embed")


_Refusal: TypeAlias = Callable[[Core, Request, EmbedError], Response]


def _json_refusal(_core: Core, _request: Request, error: EmbedError) -> Response:
    return error_response(error)


@dataclass(frozen=True, slots=True)
class _Route:
    """An endpoint, and what the routing must know before it runs.

    name: the first word of its lines in the log.
    endpoint: gets the core, the request and the variables of the path. One that waits for nothing is a
        plain function.
    operation: what the OpenAPI document says of it; None for a preflight, which browsers send by themselves,
        and for the operator's page, which is for people and is not told to strangers.
    cors: pages of other allowed origins may read its responses.
    refusal: makes the response to a request that is refused.
    """

    name: str
    endpoint: Callable[..., Steps[Response] | Response]
    operation: Operation | None
    cors: bool = False
    refusal: _Refusal = _json_refusal


def _rule(method: str, path: str, route: _Route) -> Rule:
    return Rule(path, methods=[method], endpoint=route)


@lru_cache(maxsize=32)
def _document(mount: str) -> tuple[bytes, str]:
    """Return the OpenAPI document of a mount, and a short hash of it."""
    body = json.dumps(document(endpoints(), mount=mount)).encode()
    return body, hashlib.sha256(body).hexdigest()[:16]


def _openapi(core: Core, request: Request) -> Response:
    """Return the OpenAPI document, to tools at any origin."""
    body, digest = _document(core.settings.public_path)
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-cache"),
        ("Access-Control-Allow-Origin", "*"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ]
    return revalidated(request, headers, body, digest)


_SHOWN = "/sessions/<registration_id>"
_STEP_OF = "/sessions/<registration_id>/step"
_PAGE = _Route("page", _page.hosted_page, _operations.PAGE, refusal=_page.refused_page)
_CREATE = _Route("sessions", _sessions.create_session, _operations.CREATE_SESSION, cors=True)
_SHOW = _Route("session", _sessions.show_registration, _operations.SHOW_REGISTRATION, cors=True)
_LIST = _Route("registrations", _sessions.list_registrations, _operations.LIST_REGISTRATIONS, cors=True)
_DISCONNECT = _Route("disconnect", _sessions.disconnect, _operations.DISCONNECT, cors=True)
_STEP = _Route("step", _sessions.note_step, _operations.NOTE_STEP, cors=True)
_HASHED_SCRIPT = _Route("hashed_asset", _page.hashed_script, _operations.HASHED_SCRIPT)
_STAFF = _Route("staff", _staff.start, None, refusal=_staff.refused)
_STAFF_ACT = _Route("staff", _staff.act, None, refusal=_staff.refused)
_STAFF_SHOW = _Route("staff", _staff.registration, None, refusal=_staff.refused)

_ROUTES = Map(
    [
        _rule("GET", "/", _PAGE),
        _rule("POST", "/sessions", _CREATE),
        _rule("GET", "/sessions", _LIST),
        _rule("OPTIONS", "/sessions", _Route("sessions", _sessions.preflight_post, None, cors=True)),
        _rule("GET", _SHOWN, _SHOW),
        _rule("OPTIONS", _SHOWN, _Route("session", _sessions.preflight_one, None, cors=True)),
        _rule("DELETE", _SHOWN, _DISCONNECT),
        _rule("POST", _STEP_OF, _STEP),
        _rule("OPTIONS", _STEP_OF, _Route("step", _sessions.preflight_post, None, cors=True)),
        _rule("POST", "/webhook", _Route("webhook", _webhook.webhook, _operations.WEBHOOK)),
        _rule("GET", "/ca-embed.js", _Route("asset", _page.script, _operations.SCRIPT)),
        _rule("GET", "/ca-embed.<digest>.js", _HASHED_SCRIPT),
        _rule("GET", "/health", _Route("health", _health.health, _operations.HEALTH)),
        _rule("GET", "/live", _Route("live", _health.live, _operations.LIVE)),
        _rule("GET", "/staff", _STAFF),
        _rule("POST", "/staff", _STAFF_ACT),
        _rule("GET", "/staff/<registration_id>", _STAFF_SHOW),
        _rule("GET", "/openapi.json", _Route("openapi", _openapi, _operations.OPENAPI)),
    ],
    merge_slashes=False,
)

# Of the paths without a variable: finding these in a dict is much faster than matching.
_CONSTANT: dict[tuple[str, str], _Route] = {
    (method, rule.rule): rule.endpoint
    for rule in _ROUTES.iter_rules()
    for method in rule.methods or ()
    if not rule.arguments
}


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """Return all endpoints but the preflights and the operator's page, for OpenAPI documents."""
    found = []
    for rule in _ROUTES.iter_rules():
        method = min((rule.methods or set()) - {"HEAD"})  # werkzeug adds HEAD to GET
        path = rule.rule.replace("<", "{").replace(">", "}")
        if rule.endpoint.operation is not None:
            found.append(Endpoint(method, path, rule.endpoint.operation))
    return tuple(found)


def response_to(core: Core, request: Request) -> Steps[Response]:
    """Find the endpoint of a request, run it, and complete its response. An error becomes a response too."""
    name, extra_headers = "request", Headers()
    _log_left_out(core)
    refusal: _Refusal = _json_refusal
    try:
        route, values = _match(core, request)
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


def _match(core: Core, request: Request) -> tuple[_Route, dict[str, str]]:
    if not request.path.startswith("/") or request.path.startswith("//"):  # werkzeug would accept both
        raise NotFound("no such path")
    route: _Route | None = _CONSTANT.get((request.method, request.path))
    if route is not None:
        return route, {}
    try:
        # werkzeug would take "get" for GET, but methods are case-sensitive (RFC 9110, 9.1).
        method = request.method if request.method.isupper() else "?"
        route, values = _ROUTES.bind("mount").match(request.path, method)
        assert isinstance(route, _Route)
        return route, dict(values)
    except WrongMethod as error:
        if request.path.startswith("/staff"):  # a stranger must not learn that it is there
            raise NotFound("no such path") from None
        hidden = set() if core.settings.disconnectable else {"DELETE"}
        raise MethodNotAllowed(sorted({*(error.valid_methods or ())} - hidden)) from None
    except (HTTPException, RequestRedirect):
        raise NotFound("no such path") from None


def _log_refusal(core: Core, name: str, error: EmbedError, request: Request) -> None:
    reason = error.reason if isinstance(error, RequestError) else error.code
    expected = isinstance(error, NotFound | MethodNotAllowed) and reason != "staff_failed"
    level = logging.DEBUG if expected else logging.WARNING
    if level != logging.DEBUG and not core.refusals.admits(f"{name} reason={reason}"):
        return
    registration_id = getattr(error, "registration_id", None)  # some errors are about one
    labels = request_fields(request)
    extra = fields(reason, registration_id, **labels)
    logger.log(level, "%s reason=%s (%s)%s", name, reason, error, as_text(labels), extra=extra)


def _log_left_out(core: Core) -> None:
    """Log how many refusals of each kind were not logged, so that a flood shows in a few lines."""
    for kind, count in core.refusals.left_out().items():
        logger.warning("%s ... and %d more", kind, count)
