"""What the log says about a request."""

from __future__ import annotations

import re

from ca_embed.http._messages import Request

_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_DOCTOR = re.compile(r"ca_embed/[\w.+-]{1,50} doctor")


def request_fields(request: Request) -> dict[str, str]:
    """Return the event id of a request, and whether `ca-embed doctor` sent it, for a line of the log.

    Neither is signed, so both only label the line.
    """
    found = {}
    if _LABEL.fullmatch(event_id := request.text("x-ca-event-id")):
        found["event_id"] = event_id
    if _DOCTOR.fullmatch(request.text("user-agent")):
        found["probe"] = "doctor"
    return found
