"""Webhooks: built and signed as the guide says, sent once, and noted with their outcome."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import requests

from ca_embed.sandbox._inputs import is_loopback
from ca_embed.sandbox._sessions import DEFAULT_PHONE, SandboxSession, Sessions, this_second

if TYPE_CHECKING:
    from ca_embed.sandbox._background import Background
    from ca_embed.sandbox._journal import Journal
    from ca_embed.sandbox._knobs import Knobs

TIMEOUT = 10.0  # seconds, for the connection and for each wait for the response
STALE_BY = 3600  # seconds; far outside the guide's example window of five minutes
_MAX_RESPONSE = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of one attempt to deliver a webhook.

    status_code: the HTTP status of the response, None without a response. body: its text, at most 64 KiB.
    attempt: counts the attempts of this registration from 1. error: why it failed; empty after a 2xx.
    """

    status_code: int | None
    body: str
    attempt: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook, ready to be sent."""

    registration_id: str
    attempt: int
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Values that replace those of a webhook, for tests of what receivers refuse."""

    timestamp: int | str | None = None
    token: str | None = None
    event_id: str | None = None
    payload: Mapping[str, object] = field(default_factory=dict[str, object])


def signature(token: str, timestamp: str, body: bytes) -> str:
    """Return the guide's signature: `sha256=<HMAC_SHA256(timestamp + "." + raw_request_body, token)>`."""
    signed = timestamp.encode("utf-8") + b"." + body
    return "sha256=" + hmac.new(token.encode("utf-8"), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str = ""


class Deliverer:
    """Sends the webhooks of all sessions. It never repeats one by itself."""

    def __init__(self, sessions: Sessions, knobs: Knobs, journal: Journal, background: Background) -> None:
        self._sessions = sessions
        self._knobs = knobs
        self._journal = journal
        self._background = background

    def deliver_by_knob(self, registration_id: str) -> tuple[Delivery, ...]:
        """Deliver a completion as the knob `deliveries` says. Returns nothing for a late delivery."""
        attempt = self._begin_attempt(registration_id)
        match self._knobs.deliveries:
            case "lost":
                return (self._lose(registration_id, attempt),)
            case "late":
                late = self._knobs.late_seconds
                self._background.run(lambda: self._send_next(registration_id, attempt), after=late)
                return ()
            case "duplicate":
                webhook = self.compose(registration_id, attempt=attempt)
                with ThreadPoolExecutor(max_workers=2) as two:
                    return tuple(two.map(self.send, (webhook, webhook)))
            case "wrong_signature":
                unknown = Overrides(token=secrets.token_urlsafe(24))
                return (self._send_next(registration_id, attempt, unknown),)
            case "stale_timestamp":
                stale = Overrides(timestamp=int(time.time()) - STALE_BY)
                return (self._send_next(registration_id, attempt, stale),)
            case "normal":
                return (self._send_next(registration_id, attempt),)

    def deliver_once(self, registration_id: str, overrides: Overrides) -> Delivery:
        """Deliver one webhook with these overrides, and ignore the knobs."""
        attempt = self._begin_attempt(registration_id)
        return self._send_next(registration_id, attempt, overrides)

    def deliver_event(self, registration_id: str, name: str) -> Delivery:
        """Deliver an event that is not the completion. The guide knows none, so its fields are made up."""
        session = self._sessions.get(registration_id)
        wanted: dict[str, object] = {
            "event": name,
            "registration_id": registration_id,
            "partner_user_id": session.partner_user_id,
            "occurred_at": this_second().isoformat(),
        }
        completion = self._payload(session)
        payload = {**dict.fromkeys(completion, ...), **wanted}
        return self.deliver_once(registration_id, Overrides(payload=payload))

    def compose(
        self, registration_id: str, *, attempt: int | None = None, overrides: Overrides | None = None
    ) -> Webhook:
        """Build and sign a webhook, by default that of the next attempt."""
        wanted = overrides or Overrides()
        session = self._sessions.get(registration_id)
        number = attempt or session.attempts + 1
        timestamp = str(int(time.time()) if wanted.timestamp is None else wanted.timestamp)
        body = self._body(session, wanted.payload)
        token = wanted.token or self._sessions.token_of(registration_id)
        headers = {
            "Content-Type": "application/json",
            "X-CA-Event-Id": wanted.event_id or f"evt_{registration_id}_{number}",
            "X-CA-Timestamp": timestamp,
            "X-CA-Signature": signature(token, timestamp, body),
        }
        return Webhook(
            registration_id=registration_id,
            attempt=number,
            url=session.webhook_url,
            headers=headers,
            body=body,
        )

    def send(self, webhook: Webhook) -> Delivery:
        """Send a webhook, and note the outcome in the session and in the journal."""
        return self._note(webhook, _post(webhook))

    def _send_next(self, registration_id: str, attempt: int, overrides: Overrides | None = None) -> Delivery:
        return self.send(self.compose(registration_id, attempt=attempt, overrides=overrides))

    def _lose(self, registration_id: str, attempt: int) -> Delivery:
        webhook = self.compose(registration_id, attempt=attempt)
        return self._note(webhook, _Outcome(error="lost on the way"))

    def _note(self, webhook: Webhook, outcome: _Outcome) -> Delivery:
        self._sessions.change(
            webhook.registration_id, lambda session: replace(session, last_error=outcome.error)
        )
        self._journal.add(
            "delivery",
            "POST",
            webhook.url,
            request_headers=webhook.headers.items(),
            request_body=webhook.body,
            response_status=outcome.status,
            response_headers=outcome.headers,
            response_body=outcome.body,
            error=outcome.error,
        )
        text = outcome.body.decode("utf-8", "replace")
        return Delivery(outcome.status, text, webhook.attempt, outcome.error)

    def _begin_attempt(self, registration_id: str) -> int:
        changed = self._sessions.change(
            registration_id, lambda session: replace(session, attempts=session.attempts + 1)
        )
        return changed.attempts

    def _body(self, session: SandboxSession, overrides: Mapping[str, object]) -> bytes:
        payload = {**self._payload(session), **overrides}
        sent = {name: value for name, value in payload.items() if value is not ...}
        # Not as Python's json writes by default: a receiver that checks a re-encoded body must fail.
        return json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def _payload(self, session: SandboxSession) -> dict[str, object]:
        """Return the fields of the completion (guide, "Completion Webhook")."""
        return {
            "event": "whatsapp.registration.completed",
            "registration_id": session.registration_id,
            "partner_user_id": session.partner_user_id,
            "partner_state": session.partner_state,
            "app_id": session.app_id,
            "app_secret": self._sessions.app_secret_of(session.registration_id),
            "phone": session.phone or DEFAULT_PHONE,
            "integration": session.integration,
            "completed_at": (session.completed_at or this_second()).isoformat(),
        }


def _post(webhook: Webhook) -> _Outcome:
    try:
        with requests.Session() as http:
            http.trust_env = not is_loopback(webhook.url)  # there is no proxy in front of this machine
            response = http.post(
                webhook.url,
                data=webhook.body,
                headers=webhook.headers,
                timeout=TIMEOUT,
                allow_redirects=False,
                stream=True,
            )
            body = next(response.iter_content(_MAX_RESPONSE), b"")
    except requests.Timeout:
        return _Outcome(error=f"no answer within {TIMEOUT:.0f} seconds")
    except (requests.RequestException, OSError, ValueError) as problem:
        return _Outcome(error=f"could not be delivered: {type(problem).__name__}")
    return _Outcome(
        status=response.status_code,
        headers=tuple(response.headers.items()),
        body=body,
        error="" if 200 <= response.status_code < 300 else f"HTTP {response.status_code}",
    )
