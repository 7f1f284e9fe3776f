"""The registrations that the sandbox knows: their state, and beside it what is secret about them."""

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

DEFAULT_PHONE = "421233221242"  # the guide's, for a registration that goes past the page
IN_PROGRESS = ("started", "phone_code_sent", "phone_verified", "form_completed", "fb_started")

# The guide's page events that come with a status.
_EVENT_OF_STATUS = {
    "phone_verified": "phone_verified",
    "fb_started": "facebook_started",
    "completed": "completed",
}


@dataclass(frozen=True, slots=True)
class PageEvent:
    """An event that the registration page posts to its parent; `message` belongs to `failed`."""

    name: str
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSession:
    """A registration as it stands, without its secrets. Times are UTC.

    `status` is one of the guide's. A failed or cancelled signup has no status of its own there: the
    status stays what it was, and `events` (what the page tells its parent) ends with it.
    `app_id` is settled from the start, but handed out only once the status is `completed`.
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

    @property
    def is_completed(self) -> bool:
        """Whether the credentials may be handed out."""
        return self.status == "completed"

    def moved_to(self, status: str) -> SandboxSession:
        """Take a status, and tell the page's parent if the guide has an event for it."""
        name = _EVENT_OF_STATUS.get(status)
        events = (*self.events, PageEvent(name)) if name else self.events
        return replace(self, status=status, events=events)

    def told(self, event: PageEvent) -> SandboxSession:
        """Tell the page's parent something; the status stays."""
        return replace(self, events=(*self.events, event))

    def at(self, now: datetime) -> SandboxSession:
        """See the session at a moment: one that was not completed in time is expired."""
        overdue = now >= self.expires_at and not self.is_completed
        return replace(self, status="expired") if overdue else self


Change = Callable[[SandboxSession], SandboxSession]


class UnknownSession(LookupError):
    """There is no session of this id, or it belongs to another partner."""


class Sessions:
    """All sessions, in memory. Every change is made under one lock, on the newest state.

    `hide` is told every `app_secret`, so that no log shows it.
    """

    def __init__(self, hide: Callable[[str], None]) -> None:
        self._hide = hide
        self._lock = threading.Lock()
        self._sessions: dict[str, SandboxSession] = {}
        self._tokens: dict[str, str] = {}
        self._app_secrets: dict[str, str] = {}

    def open(self, wanted: SessionRequest, *, token: str, expires_in: float) -> SandboxSession:
        """Start a session for the partner of this token."""
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
            self._tokens[session.registration_id] = token
        self.set_app_secret(session.registration_id, f"cas_{secrets.token_urlsafe(24)}")
        return session

    def get(self, registration_id: str) -> SandboxSession:
        """Find a session; UnknownSession if there is none."""
        with self._lock:
            return self._get(registration_id)

    def owned_by(self, token: str, registration_id: str) -> SandboxSession:
        """Find a session of this partner; another partner's is as unknown as one that is not there."""
        session = self.get(registration_id)
        if self._tokens[registration_id] != token:
            raise UnknownSession(registration_id)
        return session

    def all(self) -> list[SandboxSession]:
        """List every session, the oldest first."""
        with self._lock:
            return [self._get(registration_id) for registration_id in self._sessions]

    def change(self, registration_id: str, change: Change) -> SandboxSession:
        """Replace a session by what `change` makes of it. What `change` raises leaves it as it was."""
        with self._lock:
            changed = change(self._get(registration_id))
            self._sessions[registration_id] = changed
            return changed

    def token_of(self, registration_id: str) -> str:
        """Give the partner token that opened the session."""
        return self._tokens[self.get(registration_id).registration_id]

    def app_secret_of(self, registration_id: str) -> str:
        """Give the secret that the session's webhook and result hand out."""
        return self._app_secrets[self.get(registration_id).registration_id]

    def set_app_secret(self, registration_id: str, app_secret: str) -> None:
        """Let the session hand out another secret from now on."""
        self._hide(app_secret)
        self._app_secrets[self.get(registration_id).registration_id] = app_secret

    def _get(self, registration_id: str) -> SandboxSession:
        try:
            return self._sessions[registration_id].at(datetime.now(UTC))
        except KeyError:
            raise UnknownSession(f"the sandbox has no session {registration_id!r}") from None


def this_second() -> datetime:
    """Give the time as the guide writes it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def _random_text(length: int) -> str:
    alphabet = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(length))
