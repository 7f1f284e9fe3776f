"""`/staff` and below: the operator's page, for those whom the host's `staff` function lets in.

Every change is a `POST /staff`: the one path that adapters exempt from the CSRF protection of their
framework, because it has its own. All others get the 404 of a path that does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed._host.user_ids import is_user_id
from ca_embed._registration import State
from ca_embed._use_cases.replaying import replay
from ca_embed._vault import maintenance, overview
from ca_embed._vault.export import export
from ca_embed._webhook import is_registration_id
from ca_embed.assets import _staff_page as pages
from ca_embed.assets._html import Html
from ca_embed.assets._staff_html import Desk, policy
from ca_embed.assets._staff_registration import registration_page
from ca_embed.errors import EmbedError, ForbiddenOrigin, InvalidArgument, InvalidRequest, NotFound
from ca_embed.http._messages import Headers, Request, Response, error_response
from ca_embed.http._origins import require_own_page
from ca_embed.http._staff_forms import form_token, read_form, require_form_token
from ca_embed.http._steps import Steps, blocking, identify_staff, read_body

_MOST_OTHERS = 50  # registrations of the same user that a page names


def start(core: Core, request: Request) -> Steps[Response]:
    """Return the start page: the search, what waits, and the last hours."""
    actor = yield from identify_staff()
    waiting = yield from blocking(Pool.STORAGE, overview.waiting, core.ledger, core.clock())
    lately = yield from blocking(Pool.STORAGE, overview.lately, core.ledger, core.clock())
    return _page(200, pages.start_page(_desk(core, actor), waiting, lately, notice=_notice(request)))


def registration(core: Core, request: Request, registration_id: str) -> Steps[Response]:
    """Return the page of a registration, or the question that `?ask=` names."""
    actor = yield from identify_staff()
    asked = _query(request, "ask")
    made = yield from blocking(Pool.STORAGE, _registration, core, request, actor, registration_id, asked)
    return made


def act(core: Core, request: Request) -> Steps[Response]:
    """Search, export, or change something, as a form of these pages says. A change leads back to a page."""
    actor = yield from identify_staff()
    require_own_page(core.settings, request)
    form = read_form((yield from read_body()))
    action, registration_id = form.get("action", ""), form.get("registration_id", "")
    given = form.get("token", "")
    require_form_token(core.settings, actor, action, registration_id, now=core.clock(), given=given)
    if action == "find":
        found = yield from blocking(Pool.STORAGE, _found, core, actor, form.get("wanted", ""))
        return found
    pool, change = _ACTIONS.get(action, (Pool.STORAGE, None))
    if change is None:
        raise InvalidRequest("There is no such action.")
    try:
        done = yield from blocking(pool, change, core, actor, registration_id, form)
    except (NotFound, InvalidArgument) as problem:
        return _problem(core, problem.status, "Nothing was changed", f"{problem}.")
    return done


def refused(core: Core, _request: Request, error: EmbedError) -> Response:
    """Tell the staff what went wrong in a page. Others get the 404 of a path that does not exist."""
    if isinstance(error, NotFound):
        return error_response(error)
    text = error.answer
    if isinstance(error, ForbiddenOrigin):
        text = f"Open {core.settings.public_url}/staff, and use the form there."
        if error.reason == "stale_form":
            text = "The page was open for too long, or another person opened it. Load it again, then repeat."
    headers: Headers = [pair for pair in error_response(error).headers if pair[0] == "Retry-After"]
    return _problem(core, error.status, "That did not work", text, headers)


# --- the pages ------------------------------------------------------------------------------------


def _registration(
    core: Core, request: Request, actor: str, registration_id: str, asked: str | None
) -> Response:
    state = _state(core, registration_id)
    if state is None:
        return _problem(core, 404, "Not found", "There is no such registration here.")
    desk, user_id = _desk(core, actor), state.registration.user_id
    others = [
        record.registration_id
        for record in (core.ledger.records(user_id) if is_user_id(user_id) else ())
        if record.registration_id != registration_id
    ]
    if asked in pages.QUESTIONS and not (asked == "forget" and not is_user_id(user_id)):
        return _page(200, pages.question_page(desk, state, asked, count=len(others) + 1))
    events = core.events.of(registration_id)
    return _page(200, registration_page(desk, state, events, others[:_MOST_OTHERS], notice=_notice(request)))


def _found(core: Core, actor: str, wanted: str) -> Response:
    found = overview.find(core.ledger, wanted)
    ids = [state.registration.registration_id for state in found.states]
    if ids == [wanted.strip()]:
        return _see(core, f"/{ids[0]}")
    return _page(200, pages.found_page(_desk(core, actor), wanted, found))


def _state(core: Core, registration_id: str) -> State | None:
    return core.ledger.load(registration_id) if is_registration_id(registration_id) else None


def _known(core: Core, registration_id: str) -> State:
    state = _state(core, registration_id)
    if state is None:
        raise NotFound(f"registration {registration_id!r} is not known here")
    return state


# --- the changes ----------------------------------------------------------------------------------


def _replay(core: Core, actor: str, registration_id: str, form: Mapping[str, str]) -> Response:
    _known(core, registration_id)
    replay(core.events, core.handler_runner, registration_id, form.get("handler"))
    return _noted(core, "replayed", actor, registration_id)


def _retry_webhook(core: Core, actor: str, registration_id: str, _form: Mapping[str, str]) -> Response:
    state = _known(core, registration_id)
    core.clients.retry_webhook(state.token_id, registration_id)
    return _noted(core, "webhook_retried", actor, registration_id)


def _disconnect(core: Core, actor: str, registration_id: str, _form: Mapping[str, str]) -> Response:
    _known(core, registration_id)
    core.registrar.disconnect(registration_id)
    return _noted(core, "disconnected", actor, registration_id)


def _noted(core: Core, done: str, actor: str, registration_id: str) -> Response:
    core.audit.note(done, registration_id=registration_id, actor=actor)
    return _see(core, f"/{registration_id}?done={done}")


def _forget(core: Core, actor: str, registration_id: str, _form: Mapping[str, str]) -> Response:
    user_id = _user_of(core, registration_id)
    maintenance.forget(core.ledger, user_id)
    core.audit.note("forgotten", user_id=user_id, actor=actor)
    return _see(core, "?done=forgotten")


def _export(core: Core, actor: str, registration_id: str, _form: Mapping[str, str]) -> Response:
    user_id = _user_of(core, registration_id)
    exported = export(core.ledger, user_id)
    for one in exported["registrations"]:
        one.pop("partner_state", None)  # it is between the host and ChatArchitect
    core.audit.note("exported", user_id=user_id, actor=actor)
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Disposition", 'attachment; filename="whatsapp-registrations.json"'),
    ]
    return Response(200, headers, json.dumps(exported, indent=2).encode())


def _user_of(core: Core, registration_id: str) -> str:
    user_id = _known(core, registration_id).registration.user_id
    if not is_user_id(user_id):
        raise InvalidArgument("The registration has no user of yours")
    return user_id


_Change = Callable[[Core, str, str, Mapping[str, str]], Response]

_ACTIONS: dict[str, tuple[Pool, _Change]] = {
    "replay": (Pool.STORAGE, _replay),
    "retry-webhook": (Pool.PARTNER, _retry_webhook),
    "disconnect": (Pool.STORAGE, _disconnect),
    "forget": (Pool.STORAGE, _forget),
    "export": (Pool.STORAGE, _export),
}


# --- responses ------------------------------------------------------------------------------------


def _root(core: Core) -> str:
    return f"{core.settings.public_path}/staff"


def _desk(core: Core, actor: str) -> Desk:
    def token(action: str, registration_id: str) -> str:
        return form_token(core.settings, actor, action, registration_id, now=core.clock())

    return Desk(root=_root(core), token=token)


def _query(request: Request, name: str) -> str | None:
    return next(iter(parse_qs(request.query, max_num_fields=10).get(name, [])), None)


def _notice(request: Request) -> str:
    return pages.DONE.get(_query(request, "done") or "", "")


def _problem(core: Core, status: int, heading: str, text: str, headers: Headers | None = None) -> Response:
    return _page(status, pages.problem_page(_root(core), heading, text), headers)


def _page(status: int, html: Html, headers: Headers | None = None) -> Response:
    made = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", policy()),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        # Under "no-referrer", a browser sends "Origin: null" with a form, and every change would be refused.
        ("Referrer-Policy", "same-origin"),
        *(headers or []),
    ]
    return Response(status, made, html.encode())


def _see(core: Core, rest: str) -> Response:
    """Lead to a page, so that loading it again repeats nothing."""
    # Not a path: a framework would make a URL of it, and may take the scheme and host of a proxy for ours.
    url = f"{core.settings.public_url}/staff{rest}"
    return Response(303, [("Location", url), ("Content-Type", "text/plain")], b"")
