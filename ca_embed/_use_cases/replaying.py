"""Running the handlers of a registration and of its events again."""

from __future__ import annotations

from ca_embed._use_cases.events import Events
from ca_embed._use_cases.handler_runner import HandlerRunner
from ca_embed.errors import InvalidArgument, NotFound


def replay(events: Events, runner: HandlerRunner, registration_id: str, handler: str | None) -> None:
    """Make handler runs due again: those of the registration, and the parked ones of its events.

    handler: the name of one, for the registration or its events; None: all.
    Raises NotFound if nothing is stored to hand over, InvalidArgument for a handler that is not known.
    """
    of_events = events.replay(registration_id, handler)
    try:
        runner.replay(registration_id, handler)
    except (NotFound, InvalidArgument):
        if not of_events:
            raise
