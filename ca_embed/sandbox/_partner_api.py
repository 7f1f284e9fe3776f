"""The Partner API: the three calls that the guide describes."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
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


class PartnerApi:
    """Answers `/partner?action=...` for partners with a known token."""

    def __init__(
        self,
        sessions: Sessions,
        deliverer: Deliverer,
        *,
        knobs: Knobs,
        background: Background,
        partner_tokens: Sequence[str],
        base_url: str,
    ) -> None:
        self._sessions = sessions
        self._deliverer = deliverer
        self._knobs = knobs
        self._background = background
        self._partner_tokens = partner_tokens
        self._base_url = base_url
        self._calls: dict[tuple[str, str], Callable[[Request, str], Response]] = {
            ("POST", "create_session"): self._create_session,
            ("GET", "result"): self._result,
            ("POST", "retry_webhook"): self._retry_webhook,
        }

    def answer(self, request: Request) -> Response:
        """Return the error that a knob asks for. Otherwise check the partner, then run the action."""
        self._background.pause(self._knobs.api_delay)
        return self._error_by_knob() or self._called(request, self._token(request))

    def _called(self, request: Request, token: str) -> Response:
        call = self._calls.get((request.method, request.args.get("action", "")))
        if call is None:
            raise Refusal(400, "Invalid action")
        try:
            return call(request, token)
        except UnknownSession:
            raise Refusal(404, "Session not found") from None

    def _create_session(self, request: Request, token: str) -> Response:
        wanted = inputs.session_request(inputs.json_object(request))
        session = self._sessions.open(wanted, token=token, expires_in=self._knobs.expires_in)
        iframe_url = f"{self._base_url}/?s={session.registration_id}&mode=embed"
        return json_response(
            {
                "registration_id": session.registration_id,
                "iframe_url": self._knobs.iframe_url_override or iframe_url,
                "expires_at": session.expires_at.isoformat(),
                "status": session.status,
            }
        )

    def _result(self, request: Request, token: str) -> Response:
        wanted = inputs.registration_id(request.args.get("registration_id"))
        session = self._sessions.owned_by(token, wanted)
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

    def _retry_webhook(self, request: Request, token: str) -> Response:
        wanted = inputs.retried_registration_id(inputs.json_object(request))
        if self._sessions.owned_by(token, wanted).status != "completed":
            raise Refusal(409, "Registration is not completed")
        self._deliverer.deliver_by_knob(wanted)
        session = self._sessions.get(wanted)
        return json_response(
            {"status": "sent", "attempts": session.attempts, "last_error": session.last_error}
        )

    def _token(self, request: Request) -> str:
        """Return the known partner token of the request. Raises Refusal 401 without one."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            for token in self._partner_tokens:
                # Constant time: the response time must not tell how much of a token is right.
                if hmac.compare_digest(token.encode("utf-8"), given.strip().encode("utf-8")):
                    return token
        raise Refusal(401, "Missing or invalid Bearer token")

    def _error_by_knob(self) -> Response | None:
        if self._knobs.api_status is not None:
            return error_response(self._knobs.api_status, "The knob api_status makes this call fail")
        if self._knobs.api_garbage:
            return Response("<!doctype html><title>Not JSON</title>", mimetype="text/html")
        if self._knobs.api_redirect:
            return Response(status=307, headers={"Location": f"{self._base_url}/partner-moved"})
        return None
