"""The steps of a registration, which a person and Meta take in this order.

    started -- send_code --> phone_code_sent -- verify_code --> phone_verified
            -- submit_form --> form_completed -- start_signup --> fb_started
            -- finish_signup --> completed

After `fail` or `cancel` the status stays, and start_signup may be called again. The page keeps this
order. Python may also skip steps: advance, complete, fail, cancel, expire.
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
    with_event,
    with_status,
)

_PHONE = re.compile(r"[1-9][0-9]{6,14}")  # E.164 without its plus sign
_CODE = re.compile(r"[0-9]{6}")


class StepRefused(ValueError):
    """The step does not fit the registration's status, or the input is wrong."""


class Registrations:
    """Changes the sessions. Every method raises UnknownSession for an unknown id, StepRefused otherwise."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    # ------------------------------------------------------------ the page's steps

    def send_code(self, registration_id: str, phone: str) -> SandboxSession:
        """Store the phone number and a new code. The number may change until it is verified."""
        digits = re.sub(r"[ ()+.-]", "", phone)
        _require(_PHONE.fullmatch(digits), "the phone number must have 7 to 15 digits")
        code = f"{secrets.randbelow(1_000_000):06}"

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "started", "phone_code_sent")
            return replace(with_status(session, "phone_code_sent"), phone=digits, code=code)

        return self.sessions.change(registration_id, step)

    def verify_code(self, registration_id: str, code: str) -> SandboxSession:
        """Accept the code. The sandbox accepts any six digits."""
        _require(_CODE.fullmatch(code), "the code must have six digits")

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "phone_code_sent")
            return with_status(session, "phone_verified")

        return self.sessions.change(registration_id, step)

    def submit_form(self, registration_id: str, business: str) -> SandboxSession:
        """Store the name of the business."""
        name = business.strip()
        _require(0 < len(name) <= 100, "the business must have a name of at most 100 characters")

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "phone_verified")
            return replace(with_status(session, "form_completed"), business=name)

        return self.sessions.change(registration_id, step)

    def start_signup(self, registration_id: str) -> SandboxSession:
        """Start Meta's signup, also again after it failed or was cancelled."""

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "form_completed", "fb_started")
            return with_status(session, "fb_started")

        return self.sessions.change(registration_id, step)

    def finish_signup(self, registration_id: str) -> SandboxSession:
        """Finish Meta's signup and complete the registration."""

        def step(session: SandboxSession) -> SandboxSession:
            _require_status(session, "fb_started")
            return _completed(session)

        return self.sessions.change(registration_id, step)

    # ------------------------------------------------------------- steps from Python

    def advance(self, registration_id: str, status: str) -> SandboxSession:
        """Set an in-progress status, in any order."""
        _require(status in IN_PROGRESS, f"the status must be one of {', '.join(IN_PROGRESS)}")

        def jump(session: SandboxSession) -> SandboxSession:
            _require_status(session, *IN_PROGRESS)
            return with_status(session, status)

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
        """Complete in any status, and store the given values."""
        if app_secret is not None:
            self.sessions.set_app_secret(registration_id, app_secret)

        def jump(session: SandboxSession) -> SandboxSession:
            given = replace(session, app_id=app_id or session.app_id, phone=phone or session.phone)
            return _completed(given, at=completed_at)

        return self.sessions.change(registration_id, jump)

    def fail(self, registration_id: str, message: str) -> SandboxSession:
        """Note that Meta's signup failed. The status stays."""
        return self._add_event(registration_id, PageEvent("failed", message))

    def cancel(self, registration_id: str) -> SandboxSession:
        """Note that the person cancelled Meta's signup. The status stays."""
        return self._add_event(registration_id, PageEvent("cancelled"))

    def expire(self, registration_id: str) -> SandboxSession:
        """Expire the session now."""
        now = this_second()
        return self.sessions.change(registration_id, lambda session: replace(session, expires_at=now))

    def _add_event(self, registration_id: str, event: PageEvent) -> SandboxSession:
        def add(session: SandboxSession) -> SandboxSession:
            _require_status(session, *IN_PROGRESS)
            return with_event(session, event)

        return self.sessions.change(registration_id, add)


def _completed(session: SandboxSession, *, at: datetime | None = None) -> SandboxSession:
    return replace(
        with_status(session, "completed"),
        phone=session.phone or DEFAULT_PHONE,
        completed_at=at or this_second(),
    )


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise StepRefused(otherwise)


def _require_status(session: SandboxSession, *statuses: str) -> None:
    _require(
        session.status in statuses,
        f"the registration is {session.status}; this step needs {' or '.join(statuses)}",
    )
