"""`/sessions` and below: what the page asks and reports for its signed-in user."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import NamedTuple

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed._registration import PAGE_STEPS, Session, State, Status, stepped
from ca_embed._strict_json import NotStrictJson, parse_object
from ca_embed._use_cases.registrar import SessionOrder, order_session
from ca_embed._webhook import is_registration_id
from ca_embed.errors import InvalidRequest, MethodNotAllowed, NotFound, PartnerBusy
from ca_embed.http._handlers import run_handlers
from ca_embed.http._messages import Request, Response, json_response
from ca_embed.http._origins import preflight_headers, require_allowed_origin
from ca_embed.http._steps import Steps, blocking, identify, optional, read_body

_LISTED = 20  # registrations in one response


_READ = ["GET", "HEAD"]


def create_session(core: Core, request: Request) -> Steps[Response]:
    """Open a session with ChatArchitect for the signed-in user, and store it.

    If the body names an open session of this user, return that one instead: the user continues in another
    browser. If it cannot be continued here, a new one is opened.
    """
    origin = require_allowed_origin(core.settings, request)
    user_id = yield from identify()
    asked = _asked_session((yield from read_body()))
    partner_state = secrets.token_urlsafe(16)  # the webhook must bring it back
    order = order_session(
        core.settings, user_id, parent_origin=origin, partner_state=partner_state, lang=asked.lang
    )
    if asked.registration_id is not None:
        open_one = yield from blocking(Pool.STORAGE, _continuable, core, asked.registration_id, order)
        if open_one is not None:
            return _session_response(core, 200, open_one)
    yield from blocking(Pool.STORAGE, core.session_limit.count, user_id)
    created = yield from blocking(Pool.PARTNER, core.registrar.create_session, order)
    yield from blocking(Pool.STORAGE, core.registrar.store_session, order, created)
    return _session_response(core, 201, created.session)


def list_registrations(core: Core, request: Request) -> Steps[Response]:
    """Return the signed-in user's registrations as they are stored, the newest first."""
    require_allowed_origin(core.settings, request)
    user_id = yield from identify()
    states = yield from blocking(Pool.STORAGE, lambda: list(core.ledger.states(user_id)))
    states.sort(key=lambda state: state.registration.created_at, reverse=True)
    return json_response(200, {"registrations": [_shown(state) for state in states[:_LISTED]]})


def show_registration(core: Core, request: Request, registration_id: str) -> Steps[Response]:
    """Return a registration to its owner. While it is open, ask the Partner API first.

    It is asked at most once in 3 seconds about one registration. If no thread is free for the question, the
    stored status is the response. A completion is stored and its handlers run, as after a webhook.
    """
    require_allowed_origin(core.settings, request)
    user_id = yield from identify()
    state = yield from blocking(Pool.STORAGE, _find, core, registration_id, user_id)
    if state.completed:
        return _registration_response(state)
    claimed = yield from blocking(Pool.STORAGE, core.questions.claim, registration_id, by_page=True)
    if claimed is None:  # not open, or asked a moment ago
        return _registration_response(state)
    try:
        result = yield from optional(Pool.PARTNER, core.questions.ask, claimed)
    except PartnerBusy:  # what is stored is good enough
        return _registration_response(state)
    noted = yield from blocking(Pool.STORAGE, core.questions.note_result, claimed, result)
    # The record is missing if the registration was erased meanwhile.
    state = (yield from blocking(Pool.STORAGE, core.ledger.load, registration_id)) or claimed
    yield from run_handlers(noted.accepted)
    return _registration_response(state)


def disconnect(core: Core, request: Request, registration_id: str) -> Steps[Response]:
    """Erase the credentials of the owner's registration for good, if the host allows its pages to."""
    if not core.settings.disconnectable:
        raise MethodNotAllowed([*_READ, "OPTIONS"])
    require_allowed_origin(core.settings, request)
    user_id = yield from identify()
    yield from blocking(Pool.STORAGE, _find, core, registration_id, user_id)
    state = yield from blocking(Pool.STORAGE, _disconnect, core, registration_id)
    return _registration_response(state)


def _disconnect(core: Core, registration_id: str) -> State:
    state = core.registrar.disconnect(registration_id)
    core.audit.note("disconnected", registration_id=registration_id, actor="its user")
    return state


def note_step(core: Core, request: Request, registration_id: str) -> Steps[Response]:
    """Store how far the owner's page has come, if that is further than what is stored.

    It is a hint for the host: nothing that a page says completes or ends a registration.
    """
    require_allowed_origin(core.settings, request)
    user_id = yield from identify()
    step = _reported_step((yield from read_body()))
    state = yield from blocking(Pool.STORAGE, _find, core, registration_id, user_id)
    if stepped(state, step) != state:
        yield from blocking(Pool.STORAGE, core.registrar.note_step, registration_id, step)
    return Response(204, [], b"")


def preflight_post(core: Core, request: Request, registration_id: str = "") -> Response:
    """Answer the preflight of `/sessions` and of `POST /sessions/<registration_id>/step`."""
    return _preflight(core, request, ["POST"] if registration_id else ["POST", "GET", "HEAD"])


def preflight_one(core: Core, request: Request, registration_id: str) -> Response:  # noqa: ARG001 (the route passes it)
    """Answer the preflight of `GET` and `DELETE /sessions/<registration_id>`."""
    return _preflight(core, request, ["DELETE", *_READ] if core.settings.disconnectable else _READ)


def _preflight(core: Core, request: Request, methods: list[str]) -> Response:
    require_allowed_origin(core.settings, request)
    if not request.all("origin") or not request.all("access-control-request-method"):
        raise MethodNotAllowed(methods)
    # Browsers always let a page read (GET), so only the method that changes something is named.
    return Response(204, preflight_headers(methods[0], request.text("access-control-request-headers")), b"")


class _Asked(NamedTuple):
    """What the page may choose: the language, and an open session to continue."""

    lang: str | None = None
    registration_id: str | None = None


def _asked_session(body: bytes) -> _Asked:
    """Read the optional body of `POST /sessions`."""
    if not body.strip():
        return _Asked()
    fields = _object(body)
    lang, registration_id = fields.get("lang"), fields.get("registration_id")
    if lang is not None and not isinstance(lang, str):
        raise InvalidRequest("lang must be a string.")
    if registration_id is not None and not isinstance(registration_id, str):
        raise InvalidRequest("registration_id must be a string.")
    return _Asked(lang, registration_id)


def _continuable(core: Core, registration_id: str, order: SessionOrder) -> Session | None:
    """Return an open session of this user that can be shown in a page of this origin, or None.

    The iframe sends its messages only to the origin that the session was created for.
    """
    try:
        state = _find(core, registration_id, order.user_id)
    except NotFound:
        return None
    registration, url = state.registration, state.iframe_url
    if url is None or registration.expires_at is None or registration.parent_origin != order.parent_origin:
        return None
    is_open = state.is_open and registration.status != Status.EXPIRED
    if not is_open or not url.startswith(core.settings.iframe_origin + "/"):
        return None
    return Session(registration_id, url, registration.expires_at, registration.status)


def _session_response(core: Core, status: int, session: Session) -> Response:
    return json_response(
        status,
        {
            "registration_id": session.registration_id,
            "iframe_url": session.iframe_url,
            "iframe_origin": core.settings.iframe_origin,
            "expires_at": session.expires_at.isoformat(),
            "status": session.status,
        },
    )


def _reported_step(body: bytes) -> str:
    step = _object(body).get("step")
    if not isinstance(step, str) or step not in PAGE_STEPS:
        raise InvalidRequest(f"step must be one of {', '.join(PAGE_STEPS)}.")
    return step


def _object(body: bytes) -> dict[str, object]:
    try:
        return parse_object(body)
    except NotStrictJson as problem:
        raise InvalidRequest(f"The body is not a JSON object: {problem}.") from None


def _find(core: Core, registration_id: str, user_id: str) -> State:
    """Return a registration of this user. Another user's is not found either."""
    state = core.ledger.load(registration_id) if is_registration_id(registration_id) else None
    if state is None or state.registration.user_id != user_id:
        raise NotFound("no such registration of this user")
    return state


def _registration_response(state: State) -> Response:
    return json_response(200, _shown(state))


def _shown(state: State) -> dict[str, object]:
    """Return what its owner sees of a registration. It has no credentials."""
    registration = state.registration
    return {
        "registration_id": registration.registration_id,
        "status": registration.status,
        "expires_at": _iso(registration.expires_at),
        "phone": registration.phone,
        "completed_at": _iso(registration.completed_at),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
