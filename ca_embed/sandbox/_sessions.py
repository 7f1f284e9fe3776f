"""The sessions in memory: their public state, and apart from it their secrets."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ca_embed.sandbox._inputs import SessionRequest
    from ca_embed.sandbox._partners import Partner

DEFAULT_PHONE = "421233221242"  # the guide's example, for a registration that skips the page
IN_PROGRESS = ("started", "phone_code_sent", "phone_verified", "form_completed", "fb_started")

# The guide's page events that come with a status.
_EVENT_OF_STATUS = {
    "phone_verified": "phone_verified",
    "fb_started": "facebook_started",
    "completed": "completed",
}


@dataclass(frozen=True, slots=True)
class PageEvent:
    """An event that the registration page posts to its parent.

    name: the guide's event name, like "phone_verified" or "failed". message: the text of "failed".
    """

    name: str
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSession:
    """The state of one registration, without its secrets. It never changes; ask again for the new state.

    registration_id, expires_at: what the Partner API returned for `create_session`. Times are UTC.
    parent_origin, webhook_url, partner_user_id, partner_state, integration, lang: what the partner sent.
    app_id: fixed from the start, but the partner gets it only when the status is "completed".
    status: one of the guide's. A failed or cancelled signup keeps the status; see `events`.
    phone, code, business: what the person entered on the page, and the code that the page shows.
    completed_at: the time of the completion, or None.
    attempts, last_error: the number of webhook attempts, and why the last one failed, or "".
    events: what the page tells its parent, the oldest first.
    """

    registration_id: str
    parent_origin: str
    webhook_url: str
    partner_user_id: str | None
    partner_state: str | None
    integration: str
    lang: str
    app_id: str
    created_at: datetime
    expires_at: datetime
    status: str = "started"
    phone: str | None = None
    code: str | None = None
    business: str | None = None
    completed_at: datetime | None = None
    attempts: int = 0
    last_error: str = ""
    events: tuple[PageEvent, ...] = ()


def with_status(session: SandboxSession, status: str) -> SandboxSession:
    """Return the session with another status, and with the event that the guide has for it, if any."""
    name = _EVENT_OF_STATUS.get(status)
    changed = replace(session, status=status)
    return with_event(changed, PageEvent(name)) if name else changed


def with_event(session: SandboxSession, event: PageEvent) -> SandboxSession:
    """Return the session with one more event."""
    return replace(session, events=(*session.events, event))


def _as_of(session: SandboxSession, now: datetime) -> SandboxSession:
    """Return the session at this time: expired, if it was not completed before `expires_at`."""
    overdue = now >= session.expires_at and session.status != "completed"
    return replace(session, status="expired") if overdue else session


Change = Callable[[SandboxSession], SandboxSession]


class UnknownSession(LookupError):
    """No session has this id, or it belongs to another partner."""


class Sessions:
    """All sessions. Each change happens under one lock, on the newest state.

    hide: gets each new `app_secret`, so that the journal can mask it.
    """

    def __init__(self, hide: Callable[[str], None]) -> None:
        self._hide = hide
        self._lock = threading.Lock()
        self._sessions: dict[str, SandboxSession] = {}
        self._partners: dict[str, Partner] = {}
        self._app_secrets: dict[str, str] = {}

    def open(self, wanted: SessionRequest, *, partner: Partner, expires_in: float) -> SandboxSession:
        """Create a session for this partner. It expires in `expires_in` seconds."""
        now = this_second()
        session = SandboxSession(
            registration_id=_random_text(22),
            parent_origin=wanted.parent_origin,
            webhook_url=wanted.webhook_url,
            partner_user_id=wanted.partner_user_id,
            partner_state=wanted.partner_state,
            integration=wanted.integration,
            lang=wanted.lang,
            app_id=f"ca_app_{_random_text(12)}",
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in),
        )
        with self._lock:
            self._sessions[session.registration_id] = session
            self._partners[session.registration_id] = partner
        self.set_app_secret(session.registration_id, f"cas_{secrets.token_urlsafe(24)}")
        return session

    def get(self, registration_id: str) -> SandboxSession:
        """Return a session. Raises UnknownSession."""
        with self._lock:
            return self._get(registration_id)

    def owned_by(self, partner: Partner, registration_id: str) -> SandboxSession:
        """Return a session of this partner. Raises UnknownSession, also for another partner's session."""
        session = self.get(registration_id)
        if self._partners[registration_id] is not partner:
            raise UnknownSession(registration_id)
        return session

    def all(self) -> list[SandboxSession]:
        """Return all sessions, the oldest first."""
        with self._lock:
            return [self._get(registration_id) for registration_id in self._sessions]

    def change(self, registration_id: str, change: Change) -> SandboxSession:
        """Replace a session by the result of `change`. If `change` raises, the session stays as it was."""
        with self._lock:
            changed = change(self._get(registration_id))
            self._sessions[registration_id] = changed
            return changed

    def token_of(self, registration_id: str) -> str:
        """Return the token that signs the webhooks of the session's partner."""
        return self._partners[self.get(registration_id).registration_id].signing

    def app_secret_of(self, registration_id: str) -> str:
        """Return the `app_secret` of the session's webhook and result."""
        return self._app_secrets[self.get(registration_id).registration_id]

    def set_app_secret(self, registration_id: str, app_secret: str) -> None:
        """Give the session another `app_secret`."""
        self._hide(app_secret)
        self._app_secrets[self.get(registration_id).registration_id] = app_secret

    def _get(self, registration_id: str) -> SandboxSession:
        try:
            return _as_of(self._sessions[registration_id], datetime.now(UTC))
        except KeyError:
            raise UnknownSession(
                f"the sandbox has no session {registration_id!r}; Sandbox.sessions lists all"
            ) from None


def this_second() -> datetime:
    """Return the time as the guide writes it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def _random_text(length: int) -> str:
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length))
