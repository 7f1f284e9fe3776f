"""The Partner API: the three calls that the guide describes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from werkzeug import Request, Response

from ca_embed.sandbox import _inputs as inputs
from ca_embed.sandbox._inputs import Refusal
from ca_embed.sandbox._responses import error_response, json_response
from ca_embed.sandbox._sessions import SandboxSession, Sessions, UnknownSession

if TYPE_CHECKING:
    from ca_embed.sandbox._background import Background
    from ca_embed.sandbox._delivery import Deliverer
    from ca_embed.sandbox._knobs import Knobs
    from ca_embed.sandbox._partners import Partner, Partners


class PartnerApi:
    """Answers `/partner?action=...` for partners with a known token."""

    def __init__(
        self,
        sessions: Sessions,
        deliverer: Deliverer,
        *,
        knobs: Knobs,
        background: Background,
        partners: Partners,
        base_url: str,
    ) -> None:
        self._sessions = sessions
        self._deliverer = deliverer
        self._knobs = knobs
        self._background = background
        self._partners = partners
        self._base_url = base_url
        self._calls: dict[tuple[str, str], Callable[[Request, Partner], Response]] = {
            ("POST", "create_session"): self._create_session,
            ("GET", "result"): self._result,
            ("POST", "retry_webhook"): self._retry_webhook,
        }

    def answer(self, request: Request) -> Response:
        """Return the error that a knob asks for. Otherwise check the partner, then run the action."""
        self._background.pause(self._knobs.api_delay)
        return self._error_by_knob() or self._called(request, self._partner(request))

    def _called(self, request: Request, partner: Partner) -> Response:
        call = self._calls.get((request.method, request.args.get("action", "")))
        if call is None:
            raise Refusal(400, "Invalid action")
        try:
            return call(request, partner)
        except UnknownSession:
            raise Refusal(404, "Session not found") from None

    def _create_session(self, request: Request, partner: Partner) -> Response:
        wanted = inputs.session_request(inputs.json_object(request))
        session = self._sessions.open(wanted, partner=partner, expires_in=self._knobs.expires_in)
        iframe_url = f"{self._base_url}/?s={session.registration_id}&mode=embed"
        return json_response(
            {
                "registration_id": session.registration_id,
                "iframe_url": self._knobs.iframe_url_override or iframe_url,
                "expires_at": session.expires_at.isoformat(),
                "status": session.status,
            }
        )

    def _result(self, request: Request, partner: Partner) -> Response:
        wanted = inputs.registration_id(request.args.get("registration_id"))
        session = self._sessions.owned_by(partner, wanted)
        if session.status != "completed":
            return json_response({"status": session.status})
        return json_response(self._credentials(session))

    def _credentials(self, session: SandboxSession) -> dict[str, object]:
        assert session.completed_at is not None
        return {
            "status": session.status,
            "registration_id": session.registration_id,
            "app_id": session.app_id,
            "app_secret": self._sessions.app_secret_of(session.registration_id),
            "phone": session.phone,
            "integration": session.integration,
            "completed_at": session.completed_at.isoformat(),
        }

    def _retry_webhook(self, request: Request, partner: Partner) -> Response:
        wanted = inputs.retried_registration_id(inputs.json_object(request))
        if self._sessions.owned_by(partner, wanted).status != "completed":
            raise Refusal(409, "Registration is not completed")
        self._deliverer.deliver_by_knob(wanted)
        session = self._sessions.get(wanted)
        return json_response(
            {"status": "sent", "attempts": session.attempts, "last_error": session.last_error}
        )

    def _partner(self, request: Request) -> Partner:
        """Return the partner whose token the request has. Raises Refusal 401 without one."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (partner := self._partners.of(given.strip())) is not None:
            return partner
        raise Refusal(401, "Missing or invalid Bearer token")

    def _error_by_knob(self) -> Response | None:
        if self._knobs.api_status is not None:
            response = error_response(self._knobs.api_status, "The knob api_status makes this call fail")
            if self._knobs.api_retry_after is not None:
                response.headers["Retry-After"] = str(self._knobs.api_retry_after)
            return response
        if self._knobs.api_garbage:
            return Response("<!doctype html><title>Not JSON</title>", mimetype="text/html")
        if self._knobs.api_redirect:
            return Response(status=307, headers={"Location": f"{self._base_url}/partner-moved"})
        return None
