"""A registration's state as bytes and back. Pure.

The bytes are JSON. They are sealed before they are stored, so no other program depends on their format.
`v` is the version of the format.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ca_embed._registration import Claim, Credentials, HandlerRun, Registration, State

_FORMAT = 1


def to_bytes(state: State) -> bytes:
    """Return the state as bytes."""
    document = {"v": _FORMAT, **asdict(state)}
    return json.dumps(document, default=datetime.isoformat, separators=(",", ":")).encode()


def from_bytes(data: bytes) -> State:
    """Return the state that `to_bytes` wrote. Raises ValueError, KeyError or TypeError for other bytes."""
    document = json.loads(data)
    if document.pop("v") != _FORMAT:
        raise ValueError("another release of ca_embed wrote it")
    document["registration"] = Registration(**_with_times(document["registration"]))
    if document["credentials"] is not None:
        document["credentials"] = Credentials(**_with_times(document["credentials"]))
    if document["claim"] is not None:
        document["claim"] = Claim(**document["claim"])
    document["host_handlers"] = tuple(document["host_handlers"])
    document["handlers"] = tuple(HandlerRun(**run) for run in document["handlers"])
    return State(**document)


def _with_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn the ISO texts in the `..._at` fields into datetimes."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value is not None else value
        for name, value in fields.items()
    }
