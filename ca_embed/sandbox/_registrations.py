"""What a person and Meta do with a registration, one step after the other.

    started -- send_code --> phone_code_sent -- verify_code --> phone_verified
            -- submit_form --> form_completed -- start_signup --> fb_started
            -- finish --> completed, or fail or cancel, after which start_signup is open again

The page walks these steps in this order. Python may also jump: advance, complete, fail, cancel.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from datetime import datetime

from ca_embed.sandbox._sessions import (
    DEFAULT_PHONE,
    IN_PROGRESS,
    PageEvent,
    SandboxSession,
    Sessions,
    this_second,
)

_PHONE = re.compile(r"[1-9][0-9]{6,14}")  # E.164 without its plus sign
_CODE = re.compile(r"[0-9]{6}")


class StepRefused(ValueError):
    """The registration is not where this step begins, or what was entered cannot be right."""


class Registrations:
    """Moves the sessions on. Everything raises UnknownSession for an id that is not there."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    # ------------------------------------------------------------ the page's steps

    def send_code(self, registration_id: str, phone: str) -> SandboxSession:
        """Take the phone number and "send" a code; also another number, until one is verified."""
        digits = re.sub(r"[ ()+.-]", "", phone)
        _require(_PHONE.fullmatch(digits), "the phone number must have 7 to 15 digits")
        code = f"{secrets.randbelow(1_000_000):06}"

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "started", "phone_code_sent")
            return replace(session.moved_to("phone_code_sent"), phone=digits, code=code)

        return self.sessions.change(registration_id, step)

    def verify_code(self, registration_id: str, code: str) -> SandboxSession:
        """Take the code; any six digits are right here."""
        _require(_CODE.fullmatch(code), "the code must have six digits")

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "phone_code_sent")
            return session.moved_to("phone_verified")

        return self.sessions.change(registration_id, step)

    def submit_form(self, registration_id: str, business: str) -> SandboxSession:
        """Take the name of the business."""
        name = business.strip()
        _require(0 < len(name) <= 100, "the business must have a name of at most 100 characters")

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "phone_verified")
            return replace(session.moved_to("form_completed"), business=name)

        return self.sessions.change(registration_id, step)

    def start_signup(self, registration_id: str) -> SandboxSession:
        """Begin Meta's signup, or begin it again after it failed or was cancelled."""

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "form_completed", "fb_started")
            return session.moved_to("fb_started")

        return self.sessions.change(registration_id, step)

    def finish_signup(self, registration_id: str) -> SandboxSession:
        """End Meta's signup well: the registration is completed."""

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "fb_started")
            return _completed(session)

        return self.sessions.change(registration_id, step)

    # --------------------------------------------------------------- Python's jumps

    def advance(self, registration_id: str, status: str) -> SandboxSession:
        """Set an in-progress status."""
        _require(status in IN_PROGRESS, f"the status must be one of {', '.join(IN_PROGRESS)}")

        def jump(session: SandboxSession) -> SandboxSession:
            _require_status(session, *IN_PROGRESS)
            return session.moved_to(status)

        return self.sessions.change(registration_id, jump)

    def complete(
        self,
        registration_id: str,
        *,
        app_id: str | None = None,
        app_secret: str | None = None,
        phone: str | None = None,
        completed_at: datetime | None = None,
    ) -> SandboxSession:
        """Complete in any status, and set what is given."""
        if app_secret is not None:
            self.sessions.set_app_secret(registration_id, app_secret)

        def jump(session: SandboxSession) -> SandboxSession:
            given = replace(session, app_id=app_id or session.app_id, phone=phone or session.phone)
            return _completed(given, at=completed_at)

        return self.sessions.change(registration_id, jump)

    def fail(self, registration_id: str, message: str) -> SandboxSession:
        """Let Meta's signup fail; the status stays."""
        return self._tell(registration_id, PageEvent("failed", message))

    def cancel(self, registration_id: str) -> SandboxSession:
        """Let the person cancel Meta's signup; the status stays."""
        return self._tell(registration_id, PageEvent("cancelled"))

    def expire(self, registration_id: str) -> SandboxSession:
        """Let the session's time be over."""
        now = this_second()
        return self.sessions.change(registration_id, lambda session: replace(session, expires_at=now))

    def _tell(self, registration_id: str, event: PageEvent) -> SandboxSession:
        def tell(session: SandboxSession) -> SandboxSession:
            _require_status(session, *IN_PROGRESS)
            return session.told(event)

        return self.sessions.change(registration_id, tell)


def _completed(session: SandboxSession, *, at: datetime | None = None) -> SandboxSession:
    return replace(
        session.moved_to("completed"),
        phone=session.phone or DEFAULT_PHONE,
        completed_at=at or this_second(),
    )


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise StepRefused(otherwise)


def _require_status(session: SandboxSession, *statuses: str) -> None:
    _require(session.status in statuses, f"the registration is {session.status} already")
