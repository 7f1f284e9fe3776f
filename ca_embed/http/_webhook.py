"""`POST /webhook`: a signed event of ChatArchitect (guide, "Completion Webhook")."""

from __future__ import annotations

import logging

from ca_embed._core import Core
from ca_embed._events import SignedEvent
from ca_embed._host.threads import Pool
from ca_embed._log import as_text, fields
from ca_embed._registration import Outcome
from ca_embed._use_cases.registrar import log_outcome
from ca_embed._webhook import read_event, read_headers
from ca_embed.http._body import announced_length
from ca_embed.http._handlers import run_handlers
from ca_embed.http._log import request_fields
from ca_embed.http._messages import Request, Response, json_response
from ca_embed.http._steps import Steps, blocking, read_body

logger = logging.getLogger("ca_embed")


def webhook(core: Core, request: Request) -> Steps[Response]:
    """Verify a delivery, store its credentials or event, run the handlers, and acknowledge it."""
    timestamps, signatures = request.all("x-ca-timestamp"), request.all("x-ca-signature")
    announced_length(request)
    # Before the body is read: who only holds the connection open must not hold a thread.
    signed = read_headers(timestamps, signatures)
    body = yield from read_body()
    # Verified on the event loop: a forged delivery costs no thread.
    authenticated = core.verifier.authenticate(body, signed, core.clock())
    event = read_event(body, authenticated, request.text("x-ca-event-id")[:200] or None)
    if isinstance(event, SignedEvent):
        if not core.handlers.names_for(event.name):
            _log_ignored(request)
            return _IGNORED
        accepted = yield from blocking(Pool.STORAGE, core.events.accept, event)
    else:
        accepted = yield from blocking(Pool.STORAGE, core.registrar.accept, event)
    if logger.isEnabledFor(logging.INFO):
        log_outcome("webhook", event.registration_id, accepted.outcome, request_fields(request))
    yield from run_handlers(accepted)
    return _ACCEPTED if accepted.outcome is Outcome.ACCEPTED else _DUPLICATE


_ACCEPTED, _DUPLICATE, _IGNORED = (
    json_response(200, {"status": status}) for status in ("accepted", "duplicate", "ignored")
)


def _log_ignored(request: Request) -> None:
    if logger.isEnabledFor(logging.INFO):
        labels = request_fields(request)
        logger.info("webhook reason=ignored%s", as_text(labels), extra=fields("ignored", **labels))
