"""The audit trail: who read, used or erased what of which registration, and when. Never what was read."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ca_embed._host.calls import call_host, described
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._log import fields

logger = logging.getLogger("ca_embed")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit trail.

    action: "credentials_read", "replayed", "webhook_retried", "disconnected", "forgotten", "exported" or
        "keys_rotated".
    actor: who did it, like "process 4711", "ca-embed by root", or "staff 17".
    at: when, in UTC.
    registration_id: None for an action on all registrations of a user, or on all there are.
    user_id: the user of the host whose registrations were forgotten or exported; None for other actions.
    """

    action: str
    actor: str
    at: datetime
    registration_id: str | None = None
    user_id: str | None = None


Audit = Callable[[AuditEntry], Awaitable[Any] | Any] | logging.Logger


class AuditTrail:
    """Writes the entries to the host's function or logger, if it gave one.

    actor: who acts in this process, unless an entry names another.
    """

    def __init__(self, audit: Audit | None, error_hooks: ErrorHooks, clock: Callable[[], float]) -> None:
        """Take the host's function or logger, and a clock that returns Unix seconds."""
        self.actor: str | None = None
        self._audit = audit
        self._error_hooks = error_hooks
        self._clock = clock

    def note(
        self,
        action: str,
        *,
        registration_id: str | None = None,
        user_id: str | None = None,
        actor: str | None = None,
    ) -> None:
        """Write one entry. What the host's function raises is logged, and changes nothing."""
        if self._audit is None:
            return
        entry = AuditEntry(
            action=action,
            actor=actor or self.actor or f"process {os.getpid()}",
            at=datetime.fromtimestamp(self._clock(), UTC),
            registration_id=registration_id,
            user_id=user_id,
        )
        if isinstance(self._audit, logging.Logger):
            _log(self._audit, entry)
            return
        try:
            call_host(self._audit, entry)
        except KeyboardInterrupt:  # the operator ends the process
            raise
        except BaseException as error:  # noqa: BLE001 (the host may raise anything)
            extra = fields("failed", registration_id)
            logger.error("audit reason=failed action=%s raised=%s", action, described(error), extra=extra)
            self._error_hooks.report(error, "audit")


def _log(audit: logging.Logger, entry: AuditEntry) -> None:
    about = {"registration_id": entry.registration_id, "user_id": entry.user_id}
    known = {name: value for name, value in about.items() if value is not None}
    words = "".join(f" {name}={value!a}" for name, value in known.items())
    extra = {"action": entry.action, "actor": entry.actor, **known}
    audit.info("audit action=%s actor=%s%s", entry.action, ascii(entry.actor), words, extra=extra)
