"""A registration's state as bytes and back. Pure.

The bytes are JSON. They are sealed before a storage sees them, so their form is ours to change; `v`
says which form it is.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ca_embed._registration import Claim, Credentials, HandlerRun, Registration, State

_FORM = 1


def to_bytes(state: State) -> bytes:
    """Write the state down."""
    document = {"v": _FORM, **asdict(state)}
    return json.dumps(document, default=datetime.isoformat, separators=(",", ":")).encode()


def from_bytes(data: bytes) -> State:
    """Read what `to_bytes` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    document = json.loads(data)
    if document.pop("v") != _FORM:
        raise ValueError("written by a newer release of ca_embed")
    document["registration"] = Registration(**_with_times(document["registration"]))
    if document["credentials"] is not None:
        document["credentials"] = Credentials(**_with_times(document["credentials"]))
    if document["claim"] is not None:
        document["claim"] = Claim(**document["claim"])
    document["host_handlers"] = tuple(document["host_handlers"])
    document["handlers"] = tuple(HandlerRun(**run) for run in document["handlers"])
    return State(**document)


def _with_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Turn the ISO texts of the `..._at` fields into datetimes."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value is not None else value
        for name, value in fields.items()
    }
