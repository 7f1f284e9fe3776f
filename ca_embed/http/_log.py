"""What the log says about a request."""

from __future__ import annotations

import re

from ca_embed.http._messages import Request

_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


def event_label(request: Request) -> str:
    """Return the event id for a line of the log, or "". It is not signed, so it only labels the line."""
    event_id = request.text("x-ca-event-id")
    return f" event_id={event_id}" if _LABEL.fullmatch(event_id) else ""
