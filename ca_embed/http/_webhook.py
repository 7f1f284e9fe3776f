"""`POST /webhook`: a signed event of ChatArchitect (guide, "Completion Webhook")."""

from __future__ import annotations

import logging

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed._log import fields
from ca_embed._registration import Outcome
from ca_embed._use_cases.registrar import log_outcome
from ca_embed._webhook import read_event, read_headers
from ca_embed.http._body import announced_length
from ca_embed.http._handlers import run_handlers
from ca_embed.http._log import request_fields, request_label
from ca_embed.http._messages import Request, Response, json_response
from ca_embed.http._steps import Steps, blocking, read_body

logger = logging.getLogger("ca_embed")


def webhook(core: Core, request: Request) -> Steps[Response]:
    """Verify a delivery, store its credentials, run the handlers, and acknowledge it."""
    timestamps, signatures = request.all("x-ca-timestamp"), request.all("x-ca-signature")
    announced_length(request)
    # Before the body is read: who only holds the connection open must not hold a thread.
    signed = read_headers(timestamps, signatures)
    body = yield from read_body()
    # Verified on the event loop: a forged delivery costs no thread.
    authenticated = core.verifier.authenticate(body, signed, core.clock())
    completion = read_event(body, authenticated)
    if completion is None:
        extra = fields("ignored", **request_fields(request))
        logger.info("webhook reason=ignored%s", request_label(request), extra=extra)
        return json_response(200, {"status": "ignored"})
    accepted = yield from blocking(Pool.STORAGE, core.registrar.accept, completion)
    log_outcome("webhook", completion, accepted.outcome, request_label(request), request_fields(request))
    yield from run_handlers(accepted)
    status = "accepted" if accepted.outcome is Outcome.ACCEPTED else "duplicate"
    return json_response(200, {"status": status})
