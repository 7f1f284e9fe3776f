"""The HTTP of ca_embed: from a request to its response, without a socket. Routes, rules, answers.

The main path, top-down: `Exchange.begin` finds the endpoint, each endpoint returns the next step, and
`respond` drives the steps to the response (the ASGI door has its own driver, with the same steps).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod
from werkzeug.http import parse_etags, quote_etag
from werkzeug.routing import Map, RequestRedirect, Rule

from ca_embed._host.calls import identify_now
from ca_embed._host.threads import Pool
from ca_embed._registrar import Answer, Handover, SessionOrder, log_outcome
from ca_embed._registration import ASK_EVERY, Completion, Outcome, Session, State
from ca_embed._strict_json import NotStrictJson, parse_object
from ca_embed._webhook import is_registration_id, read_event
from ca_embed.assets._html import hosted_page, page_permissions
from ca_embed.assets._script import Asset, javascript
from ca_embed.errors import (
    EmbedError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PartnerError,
    RequestError,
)
from ca_embed.http._messages import (
    Blocking,
    Headers,
    Identify,
    ReadBody,
    Request,
    Response,
    Step,
    error_response,
    finished,
    json_response,
)
from ca_embed.http._origins import asking_origin, cors_headers, preflight_headers

if TYPE_CHECKING:
    from ca_embed.embed import Embed

logger = logging.getLogger("ca_embed")

_ROUTES = Map(
    [
        Rule("/", endpoint="page", methods=["GET"]),
        Rule("/sessions", endpoint="sessions", methods=["POST", "OPTIONS"]),
        Rule("/sessions/<registration_id>", endpoint="session", methods=["GET", "OPTIONS"]),
        Rule("/webhook", endpoint="webhook", methods=["POST"]),
        Rule("/ca-embed.js", endpoint="asset", methods=["GET"]),
        Rule("/ca-embed.<digest>.js", endpoint="hashed_asset", methods=["GET"]),
        Rule("/health", endpoint="health", methods=["GET"]),
    ],
    merge_slashes=False,
)
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_ONE_YEAR = "public, max-age=31536000, immutable"


def respond(embed: Embed, request: Request, read_body: Callable[[], bytes]) -> Response:
    """Answer a request in the thread of the caller, blocking where it takes blocking."""
    exchange = Exchange(embed, request)
    step = exchange.begin()
    while not isinstance(step, Response):
        try:
            step = _take(embed, request, step, read_body)
        except EmbedError as error:
            step = exchange.after_error(step, error)
    return exchange.finish(step)


def _take(embed: Embed, request: Request, step: Step, read_body: Callable[[], bytes]) -> Step:
    match step:
        case ReadBody(then):
            return then(read_body())
        case Identify(then):
            return then(identify_now(request.identify or embed.identify, request.native))
        case Blocking(pool, call, otherwise):
            return embed.executors.run_here(pool, call, can_do_without=otherwise is not None)
        case Response():
            return step


class Exchange:
    """One request on its way to its response."""

    def __init__(self, embed: Embed, request: Request) -> None:
        """Answer this request on behalf of that Embed."""
        self._embed = embed
        self._request = request
        self._extra_headers: Headers = []
        self._name = "request"

    def begin(self) -> Step:
        """Return the first step. What can be decided without reading or blocking is decided here."""
        try:
            name, values = self._match()
            self._name = name
            endpoint: Callable[..., Step] = getattr(self, f"_{name}")
            return endpoint(**values)
        except EmbedError as error:
            return self._refuse(error)

    def after_error(self, step: Step, error: EmbedError) -> Step:
        """Return the step after one that raised: its own way out, or the error's answer."""
        if isinstance(step, Blocking) and step.otherwise is not None and isinstance(error, PartnerError):
            return step.otherwise(error)
        return self._refuse(error)

    def finish(self, response: Response) -> Response:
        """Return the response as it goes out."""
        response.headers.extend(self._extra_headers)
        return finished(response, self._request.method)

    def _match(self) -> tuple[str, dict[str, str]]:
        path = self._request.path
        if not path.startswith("/") or path.startswith("//"):  # werkzeug would mend both
            raise NotFound("no such path")
        try:
            name, values = _ROUTES.bind("mount").match(path, self._request.method)
            return name, dict(values)
        except WrongMethod as error:
            raise MethodNotAllowed(sorted(error.valid_methods or ())) from None
        except (HTTPException, RequestRedirect):
            raise NotFound("no such path") from None

    def _refuse(self, error: EmbedError) -> Response:
        reason = error.reason if isinstance(error, RequestError) else error.code
        level = logging.DEBUG if isinstance(error, NotFound | MethodNotAllowed) else logging.WARNING
        logger.log(level, "%s reason=%s (%s)%s", self._name, reason, error, self._label())
        return error_response(error)

    # --- the webhook ----------------------------------------------------------------------------

    def _webhook(self) -> Step:
        return ReadBody(self._delivery)

    def _delivery(self, body: bytes) -> Step:
        """Decide without blocking whether the delivery counts; only one that does costs a thread."""
        request = self._request
        authenticated = self._embed.verifier.verify(
            body, request.all("x-ca-timestamp"), request.all("x-ca-signature"), self._embed.clock()
        )
        completion = read_event(body, authenticated)
        if completion is None:
            logger.info("webhook reason=ignored%s", self._label())
            return json_response(200, {"status": "ignored"})
        return Blocking(Pool.STORAGE, partial(self._accept, completion))

    def _accept(self, completion: Completion) -> Step:
        accepted = self._embed.registrar.accept(completion)
        log_outcome("webhook", completion, accepted.outcome, self._label())
        status = "accepted" if accepted.outcome is Outcome.ACCEPTED else "duplicate"
        answer = json_response(200, {"status": status})
        if accepted.handover is None:
            return answer
        return self._handing_over(accepted.handover, answer)

    def _handing_over(self, handover: Handover, answer: Response) -> Step:
        """Run the handlers before the answer leaves; what becomes of them does not change it."""

        def hand_over() -> Step:
            self._embed.registrar.hand_over_quietly(handover)
            return answer

        return Blocking(Pool.HANDLERS, hand_over)

    def _label(self) -> str:
        """The event id for the log, if it is one: it is outside the signature and proves nothing."""
        event_id = self._request.text("x-ca-event-id")
        return f" event_id={event_id}" if _LABEL.fullmatch(event_id) else ""

    # --- sessions -------------------------------------------------------------------------------

    def _sessions(self) -> Step:
        origin = self._page_origin()
        if self._request.method == "OPTIONS":
            return self._preflight(["POST"])
        return Identify(lambda user_id: ReadBody(partial(self._order, user_id, origin)))

    def _order(self, user_id: str, origin: str | None, body: bytes) -> Step:
        order = self._embed.order(user_id, parent_origin=origin, lang=_asked_language(body))
        return Blocking(Pool.PARTNER, partial(self._open, order))

    def _open(self, order: SessionOrder) -> Step:
        session = self._embed.registrar.open_session(order)
        return Blocking(Pool.STORAGE, partial(self._remember, order, session))

    def _remember(self, order: SessionOrder, session: Session) -> Step:
        self._embed.registrar.remember(order, session)
        return json_response(
            201,
            {
                "registration_id": session.registration_id,
                "iframe_url": session.iframe_url,
                "iframe_origin": self._embed.settings.iframe_origin,
                "expires_at": session.expires_at.isoformat(),
                "status": session.status,
            },
        )

    def _session(self, registration_id: str) -> Step:
        self._page_origin()
        if self._request.method == "OPTIONS":
            return self._preflight(["GET"])
        return Identify(
            lambda user_id: Blocking(Pool.STORAGE, partial(self._status, registration_id, user_id))
        )

    def _status(self, registration_id: str, user_id: str) -> Step:
        """Show what is stored, after asking the Partner API if the webhook has not come."""
        registrar = self._embed.registrar
        state = registrar.look_up(registration_id) if is_registration_id(registration_id) else None
        if state is None or state.registration.user_id != user_id:
            raise NotFound("no such registration of this user")
        asking = None if state.completed else registrar.begin_asking(registration_id, every=ASK_EVERY)
        if asking is None:
            return _shown(state)
        return Blocking(Pool.PARTNER, partial(self._ask, asking), otherwise=lambda _: _shown(state))

    def _ask(self, asking: State) -> Step:
        answer = self._embed.registrar.ask(asking)
        return Blocking(Pool.STORAGE, partial(self._note_answer, asking, answer))

    def _note_answer(self, asking: State, answer: Answer) -> Step:
        registrar = self._embed.registrar
        accepted = registrar.note_answer(asking, answer)
        state = registrar.look_up(asking.registration.registration_id)
        response = _shown(state or asking)
        if accepted is None or accepted.handover is None:
            return response
        return self._handing_over(accepted.handover, response)

    def _page_origin(self) -> str | None:
        """Let only allowed pages ask, and let those read every answer from here on."""
        self._extra_headers.append(("Vary", "Origin"))
        origin = asking_origin(
            self._request.all("origin"),
            self._request.all("sec-fetch-site"),
            self._embed.settings.allowed_origins,
        )
        self._extra_headers += cors_headers(origin)
        return origin

    def _preflight(self, methods: list[str]) -> Step:
        if not self._request.all("origin") or not self._request.all("access-control-request-method"):
            raise MethodNotAllowed([*methods, "HEAD"] if "GET" in methods else methods)
        asked_headers = self._request.text("access-control-request-headers")
        return Response(204, preflight_headers(methods, asked_headers), b"")

    # --- page, asset, health --------------------------------------------------------------------

    def _page(self) -> Step:
        return Identify(lambda _user_id: self._hosted_page())

    def _hosted_page(self) -> Response:
        settings = self._embed.settings
        csrf = self._request.csrf() if self._request.csrf else None
        page = hosted_page(settings, self._request.text("accept-language"), csrf)
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Language", page.lang),
            ("Content-Security-Policy", page.policy),
            # Any stricter value would keep Meta's signup from opening its window.
            ("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
            ("Permissions-Policy", page_permissions(settings)),
            ("Referrer-Policy", "same-origin"),
        ]
        return Response(200, headers, page.html.encode())

    def _asset(self) -> Step:
        return self._javascript(javascript(), "no-cache")

    def _hashed_asset(self, digest: str) -> Step:
        asset = javascript()
        if digest != asset.digest:
            raise NotFound("an asset of another release")
        return self._javascript(asset, _ONE_YEAR)

    def _javascript(self, asset: Asset, cache_control: str) -> Response:
        headers = [
            ("Content-Type", "text/javascript; charset=utf-8"),
            ("Cache-Control", cache_control),
            ("ETag", quote_etag(asset.digest)),
            # A page of any origin may load it, with integrity or as a module.
            ("Access-Control-Allow-Origin", "*"),
            ("Cross-Origin-Resource-Policy", "cross-origin"),
        ]
        known = parse_etags(self._request.text("if-none-match"))
        if known.contains_weak(asset.digest):
            return Response(304, headers, b"")
        return Response(200, headers, asset.body)

    def _health(self) -> Step:
        return Blocking(Pool.STORAGE, self._probe)

    def _probe(self) -> Response:
        self._embed.registrar.ledger.probe()
        return json_response(200, {"status": "ok"})


def _asked_language(body: bytes) -> str | None:
    """Read the optional body of `POST /sessions`: only the language may be the browser's choice."""
    if not body.strip():
        return None
    try:
        lang = parse_object(body).get("lang")
    except NotStrictJson as problem:
        raise InvalidRequest(f"The body is not a JSON object: {problem}.") from None
    if lang is not None and not isinstance(lang, str):
        raise InvalidRequest("lang is not a string.")
    return lang


def _shown(state: State) -> Response:
    """Show a registration to its owner's browser: its progress, and nothing that opens a door."""
    registration = state.registration
    return json_response(
        200,
        {
            "registration_id": registration.registration_id,
            "status": registration.status,
            "expires_at": _iso(registration.expires_at),
            "phone": registration.phone,
            "completed_at": _iso(registration.completed_at),
        },
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
