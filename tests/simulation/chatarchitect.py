"""ChatArchitect's side: the Partner API behind a simulated network, and the sender of webhooks.

It is written from the guide, and shares no code with ca_embed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ca_embed import PartnerTimeout, PartnerUnavailable
from ca_embed._partner.transport import HttpReply
from tests.simulation.tasks import Scheduler, active

BASE_URL = "https://registration.example"
STEPS = ("started", "phone_code_sent", "phone_verified", "form_completed", "fb_started")


@dataclass(frozen=True)
class Issue:
    """Credentials that ChatArchitect has issued, and when (Unix seconds)."""

    app_id: str
    app_secret: str
    phone: str
    completed_at: float


@dataclass
class Visit:
    """A session as ChatArchitect knows it.

    dated, dated_results: whether its webhooks, and its results, say when it was completed.
    """

    registration_id: str
    user_id: str | None
    partner_state: str | None
    token: str
    created_at: float
    expires_at: float
    dated: bool
    dated_results: bool
    status: str = "started"
    issues: list[Issue] = field(default_factory=list)

    @property
    def completed(self) -> bool:
        """Whether credentials were issued."""
        return bool(self.issues)


@dataclass(frozen=True)
class Call:
    """One call of the Partner API that arrived. owner: the host that made it. task: of that host."""

    at: float
    action: str
    registration_id: str
    owner: Any
    task: str
    status: int


@dataclass(frozen=True)
class Delivery:
    """A signed webhook. forged: nothing of it was signed by ChatArchitect."""

    registration_id: str
    issue: Issue
    signed_at: int
    completed_at: float
    headers: Mapping[str, str]
    body: bytes
    forged: str = ""
    mismatched: bool = False


class ChatArchitect:
    """The Partner API and its sessions.

    mode: "up", "slow", "down" (no connection), "broken" (500), "busy" (429) or "garbage".
    """

    def __init__(self, scheduler: Scheduler, token: str) -> None:
        self._scheduler = scheduler
        self.accepted, self.signing = [token], token
        self.mode = "up"
        self.retry_after: float | None = None
        self.visits: dict[str, Visit] = {}
        self.calls: list[Call] = []
        self.secrets: set[str] = set()
        self.retried: list[str] = []  # registration ids whose webhook is to be sent again
        self.session_seconds = 3600.0

    @property
    def _random(self) -> random.Random:
        return self._scheduler.random

    # --- what happens on its pages ---------------------------------------------------------------

    def status(self, visit: Visit) -> str:
        """Return the status as the guide has it now."""
        if visit.completed:
            return "completed"
        return "expired" if self._scheduler.now >= visit.expires_at else visit.status

    def go_on(self, visit: Visit) -> None:
        """Let the user take the next step in the iframe."""
        if self.status(visit) in STEPS[:-1]:
            visit.status = STEPS[STEPS.index(visit.status) + 1]

    def complete(self, visit: Visit, *, same_instant: bool = False) -> Issue | None:
        """Issue credentials, or newer ones. None if the session is over."""
        if self.status(visit) == "expired" or (visit.completed and not visit.dated):
            return None
        number = len(visit.issues)
        at = float(int(self._scheduler.now))
        if visit.issues:
            at = visit.issues[-1].completed_at if same_instant else max(at, visit.issues[-1].completed_at + 1)
        secret = "cas_" + self._scheduler.entropy(16).hex()
        self.secrets.add(secret)
        issue = Issue(f"app_{visit.registration_id}_{number}", secret, f"42190000{number:04}", at)
        visit.issues.append(issue)
        return issue

    # --- webhooks --------------------------------------------------------------------------------

    def webhook(
        self, visit: Visit, issue: Issue, *, mismatch: str = "", token: str | None = None
    ) -> Delivery:
        """Sign a webhook now (guide, "Signature formula"). mismatch: the field to return wrongly."""
        signed_at = int(self._scheduler.now)
        fields: dict[str, object] = {
            "event": "whatsapp.registration.completed",
            "registration_id": visit.registration_id,
            "partner_user_id": visit.user_id,
            "partner_state": visit.partner_state,
            "app_id": issue.app_id,
            "app_secret": issue.app_secret,
            "phone": issue.phone,
            "integration": "CRM",
        }
        if visit.dated:
            fields["completed_at"] = iso(issue.completed_at)
        if mismatch:
            fields[mismatch] = "another"
        body = json.dumps(fields).encode()
        headers = signature_headers(body, signed_at, token or self.signing)
        completed_at = issue.completed_at if visit.dated else float(signed_at)
        return Delivery(
            visit.registration_id, issue, signed_at, completed_at, headers, body, mismatched=bool(mismatch)
        )

    def forged(self, visit: Visit, kind: str) -> Delivery:
        """Return a webhook that no holder of a token has signed like this."""
        secret = "forged_" + self._scheduler.entropy(12).hex()
        issue = Issue("forged", secret, "1", self._scheduler.now + 60)
        made = self.webhook(visit, issue)
        headers, body = dict(made.headers), made.body
        if kind == "other token":
            headers = signature_headers(body, made.signed_at, "a token that no one has configured")
        elif kind == "empty token":
            headers = signature_headers(body, made.signed_at, "")
        elif kind == "changed body" and visit.issues:  # a true signature of another body
            headers = dict(self.webhook(visit, visit.issues[-1]).headers)
        elif kind == "changed body":
            body = body.replace(b"421", b"422") + b" "
        elif kind == "other time":
            headers["X-CA-Timestamp"] = str(made.signed_at + 1)
        elif kind == "not signed":
            del headers["X-CA-Signature"]
        return Delivery(visit.registration_id, issue, made.signed_at, issue.completed_at, headers, body, kind)

    # --- the Partner API -------------------------------------------------------------------------

    def answer(self, token: str, method: str, query: Mapping[str, str], body: bytes | None) -> HttpReply:
        """Answer one call that arrived."""
        given = json.loads(body) if body else dict(query)
        reply = self._answer(token, query["action"], given)
        task = self._scheduler.current
        self.calls.append(
            Call(
                self._scheduler.now,
                query["action"],
                given.get("registration_id", ""),
                task and task.owner,
                task.name if task else "",
                reply.status,
            )
        )
        return reply

    def _answer(self, token: str, action: str, given: dict[str, Any]) -> HttpReply:
        if self.mode == "busy":
            return HttpReply(429, b'{"status": "error", "message": "slow down"}', self.retry_after)
        if self.mode == "broken":
            return HttpReply(500, b"<h1>Internal error</h1>")
        if self.mode == "garbage":
            return HttpReply(200, b"<!doctype html><title>Maintenance</title>")
        if token not in self.accepted:
            return HttpReply(401, b'{"status": "error", "message": "Missing or invalid Bearer token"}')
        if action == "create_session":
            return self._created(token, given)
        visit = self.visits.get(given["registration_id"])
        if visit is None:
            return HttpReply(404, b'{"status": "error", "message": "Session not found"}')
        return self._result(visit) if action == "result" else self._retried(visit)

    def _created(self, token: str, given: dict[str, Any]) -> HttpReply:
        registration_id = f"r{len(self.visits):03}"
        now = self._scheduler.now
        pick = self._random.random()
        visit = Visit(
            registration_id,
            given.get("partner_user_id"),
            given.get("partner_state"),
            token,
            now,
            now + self.session_seconds,
            dated=pick > 0.1,
            dated_results=pick > 0.25,
        )
        self.visits[registration_id] = visit
        return _json(
            registration_id=registration_id,
            iframe_url=f"{BASE_URL}/?s={registration_id}",
            expires_at=iso(visit.expires_at),
            status="started",
        )

    def _result(self, visit: Visit) -> HttpReply:
        if not visit.completed:
            return _json(status=self.status(visit))
        issue = visit.issues[-1]
        fields: dict[str, object] = {
            "status": "completed",
            "registration_id": visit.registration_id,
            "app_id": issue.app_id,
            "app_secret": issue.app_secret,
            "phone": issue.phone,
            "integration": "CRM",
        }
        if visit.dated_results:
            fields["completed_at"] = iso(issue.completed_at)
        return _json(**fields)

    def _retried(self, visit: Visit) -> HttpReply:
        if not visit.completed:
            return HttpReply(409, b'{"status": "error", "message": "Registration is not completed"}')
        self.retried.append(visit.registration_id)
        return _json(status="sent", attempts=1, last_error="")


class Network:
    """Stands in for the HTTP client of the Partner API: the same calls, over the simulated network."""

    world: ChatArchitect  # set when the simulation begins

    def __init__(self, base_url: str, token: str) -> None:
        self._token = token

    def call(
        self, method: str, query: Mapping[str, str], *, seconds: float, json: bytes | None = None
    ) -> HttpReply:
        """Send one request and return the reply. Raises PartnerTimeout, PartnerUnavailable."""
        scheduler, api = active(), Network.world
        label = f"{query['action']} {query.get('registration_id', '')}"
        slow = api.mode == "slow"
        latency = scheduler.random.uniform(0.5, 40.0) if slow else scheduler.random.uniform(0.01, 0.2)
        scheduler.pause(f"call {label}", min(latency, seconds) / 2)
        if api.mode == "down":
            raise PartnerUnavailable("simulated: no connection; check base_url")
        arrived = latency / 2 < seconds and not (slow and scheduler.random.random() < 0.2)
        reply = api.answer(self._token, method, query, json) if arrived else None
        scheduler.pause(f"answer {label}", min(latency, seconds) / 2)
        if reply is None or latency > seconds:
            raise PartnerTimeout("simulated: no answer in time; try again")
        return reply

    def close(self) -> None:
        """Close nothing."""


def signature_headers(body: bytes, timestamp: int, token: str) -> dict[str, str]:
    """Return the headers of a webhook that this token signs."""
    mac = hmac.new(token.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-CA-Event-Id": f"evt_{timestamp}",
        "X-CA-Timestamp": str(timestamp),
        "X-CA-Signature": f"sha256={mac}",
    }


def iso(moment: float) -> str:
    """Return a time as the guide writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _json(**fields: object) -> HttpReply:
    return HttpReply(200, json.dumps(fields).encode())
