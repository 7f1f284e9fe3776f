"""The registration page, the window that plays Meta's signup, and the steps of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ca_embed.sandbox import _assets as assets
from ca_embed.sandbox import _inputs as inputs
from ca_embed.sandbox._inputs import Refusal
from ca_embed.sandbox._registrations import Registrations, StepRefused
from ca_embed.sandbox._responses import json_response
from ca_embed.sandbox._sessions import SandboxSession, UnknownSession

if TYPE_CHECKING:
    from werkzeug import Request, Response

    from ca_embed.sandbox._background import Background
    from ca_embed.sandbox._delivery import Deliverer
    from ca_embed.sandbox._guard import Guard
    from ca_embed.sandbox._knobs import Knobs

FAILURE = "Meta could not register this number (sandbox)."

Step = Callable[[str, dict[str, str]], SandboxSession]


class Pages:
    """Serves the pages as files. Their scripts fetch the state from `/registration/<id>`."""

    def __init__(
        self,
        registrations: Registrations,
        deliverer: Deliverer,
        *,
        knobs: Knobs,
        background: Background,
        guard: Guard,
    ) -> None:
        self._registrations = registrations
        self._deliverer = deliverer
        self._knobs = knobs
        self._background = background
        self._guard = guard
        self._steps: dict[str, tuple[tuple[str, ...], Step]] = {
            "phone": (("phone",), lambda i, given: registrations.send_code(i, given["phone"])),
            "code": (("code",), lambda i, given: registrations.verify_code(i, given["code"])),
            "form": (("business",), lambda i, given: registrations.submit_form(i, given["business"])),
            "connect": ((), lambda i, _: registrations.start_signup(i)),
            "finish": ((), lambda i, _: self._finish(i)),
            "cancel": ((), lambda i, _: registrations.cancel(i)),
            "fail": ((), lambda i, _: registrations.fail(i, FAILURE)),
        }

    def rules(self) -> tuple[tuple[str, Callable[..., Response]], ...]:
        """Return each path of the pages with its endpoint."""
        return (
            ("/", self._registration_page),
            ("/meta", self._meta_page),
            ("/static/<name>", self._asset),
            ("/registration/<registration_id>", self._state),
            ("/registration/<registration_id>/<step>", self._step),
        )

    def _registration_page(self, request: Request) -> Response:
        """Serve the page, which only the session's parent may frame. Any parent may frame the 404 page."""
        _require_method("GET", request)
        try:
            session = self._registrations.sessions.get(request.args.get("s", ""))
        except UnknownSession:
            return assets.page("registration.html", frame_ancestors="*", status=404)
        return assets.page("registration.html", frame_ancestors=_csp_source(session.parent_origin))

    def _meta_page(self, request: Request) -> Response:
        _require_method("GET", request)
        return assets.page("meta.html", frame_ancestors="'none'")

    def _asset(self, request: Request, name: str) -> Response:
        _require_method("GET", request)
        return assets.asset(name)

    def _state(self, request: Request, registration_id: str) -> Response:
        self._guard.check(request)
        _require_method("GET", request)
        return self._shown(self._registrations.sessions.get(registration_id))

    def _step(self, request: Request, registration_id: str, step: str) -> Response:
        self._guard.check(request)
        _require_method("POST", request)
        fields, take = self._steps.get(step, ((), None))
        if take is None:
            raise Refusal(404, "Not found")
        self._registrations.sessions.get(registration_id)  # an unknown session is 404, even with a bad body
        given = inputs.texts(inputs.json_object(request), known=fields)
        try:
            return self._shown(take(registration_id, {field: given.get(field, "") for field in fields}))
        except StepRefused as refused:
            raise Refusal(409, str(refused)) from None

    def _finish(self, registration_id: str) -> SandboxSession:
        session = self._registrations.finish_signup(registration_id)
        # In the background: the person does not wait for the host application.
        self._background.run(lambda: self._deliverer.deliver_by_knob(registration_id))
        return session

    def _shown(self, session: SandboxSession) -> Response:
        return json_response(
            {
                "registration_id": session.registration_id,
                "parent_origin": session.parent_origin,
                "status": session.status,
                "lang": session.lang,
                "integration": session.integration,
                "phone": session.phone,
                "code": session.code,
                "business": session.business,
                "outcome": self._knobs.outcome,
                "events": [
                    {"event": event.name} | ({} if event.message is None else {"message": event.message})
                    for event in session.events
                ],
            }
        )


def _require_method(method: str, request: Request) -> None:
    allowed = ("GET", "HEAD") if method == "GET" else (method,)
    if request.method not in allowed:
        raise Refusal(400, "Invalid action")


def _csp_source(origin: str) -> str:
    """Return the origin as a CSP source. CSP has no IPv6 addresses, so for those return the scheme."""
    return origin.partition("//")[0] if "[" in origin else origin
