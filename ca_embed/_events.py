"""Signed events other than the completion: what they are, and which record keeps each. Pure.

An event is known again by its content, so the same content is one record. The ids of the records of one
registration begin alike, so a storage finds them together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ca_embed._registration import HandlerStatus

EVENT_IDS = "~event."  # how the ids of all such records begin; no registration id has a "~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A signed event of ChatArchitect that is not the completion of a registration.

    name: the event type.
    registration_id: the registration that it names; None if it names none.
    payload: all fields of the signed body. `repr` hides them.
    event_id: the label of the first delivery (X-CA-Event-Id), which is not signed; None without one.
    received_at: when it was stored, in UTC.
    handlers: the handlers that get it, and how far each is.
    """

    name: str
    registration_id: str | None
    payload: Mapping[str, object] = field(repr=False)
    event_id: str | None
    received_at: datetime
    handlers: tuple[HandlerStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """An event as a delivery brings it, and as it is stored. The field names are stored too.

    signed_at: the X-CA-Timestamp, in Unix seconds. token_id: the partner token that signed it.
    """

    name: str
    registration_id: str | None
    payload: Mapping[str, object] = field(repr=False)
    event_id: str | None
    signed_at: int
    token_id: str

    @property
    def record_id(self) -> str:
        """The id of the record that keeps it. The same content has the same id."""
        # In one order: a sender may build the same event from another dictionary the next time.
        content = json.dumps(self.payload, sort_keys=True, separators=(",", ":"))
        return f"{ids_of(self.registration_id)}{_digest(content)[:32]}"


def ids_of(registration_id: str | None) -> str:
    """Return how the ids of the records of a registration's events begin."""
    return f"{EVENT_IDS}{_digest(registration_id or '')[:16]}."


def is_event_record(record_id: str) -> bool:
    """Tell whether this is the id of a record that keeps an event."""
    return record_id.startswith(EVENT_IDS)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
