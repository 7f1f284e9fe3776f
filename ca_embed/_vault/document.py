"""A registration's state as bytes and back. Pure.

The bytes are JSON. They are sealed before a storage sees them, so their form is ours to change; `v` says
which form it is. Releases run side by side while a new one is rolled out. So fields that this release does
not know are kept and written back, and fields that hold their default are left out: an older release that
knows neither loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import fields, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from ca_embed._events import SignedEvent
from ca_embed._registration import Claim, Credentials, HandlerRun, Registration, State

_FORM = 1
# Fields that the first release does not know. It refuses a document that has one.
_LATER = frozenset(
    {
        "active_at",
        "disconnected",
        "event",
        "inconclusive",
        "expiry_counted",
        "erased",
        "failing_since",
        "furthest_step",
        "iframe_url",
        "last_error",
        "round",
    }
)


class _Layout:
    """How one dataclass is written and read, worked out once: going over its fields each time is slow."""

    def __init__(self, kind: type[Any], *, but: Collection[str] = ()) -> None:
        """Write all fields of this class, except those named in `but`."""
        written = [field for field in fields(kind) if field.name not in but]
        self._kind = kind
        self._names = tuple(field.name for field in written)
        self._known = {field.name for field in fields(kind)} - {"unknown"}
        self._values = attrgetter(*self._names)
        self._later = tuple((field.name, field.default) for field in written if field.name in _LATER)
        self._times = tuple(name for name in self._names if name.endswith("_at") and kind in _WITH_TIMES)

    def write(self, value: object) -> dict[str, Any]:
        """Return the fields of a value. Leave out the later ones that hold their default."""
        document = dict(zip(self._names, self._values(value), strict=True))
        for name, default in self._later:
            if document[name] == default:
                del document[name]
        return document

    def read(self, given: dict[str, Any], unknown: dict[str, dict[str, object]], part: str) -> Any:
        """Build the dataclass; put the fields that it does not have aside."""
        for name in self._times:
            moment = given.get(name)
            if moment is not None:
                given[name] = datetime.fromisoformat(moment)
        if not given.keys() <= self._known:
            unknown[part] = {name: value for name, value in given.items() if name not in self._known}
            given = {name: value for name, value in given.items() if name in self._known}
        return self._kind(**given)


_WITH_TIMES = (Registration, Credentials)  # their `..._at` fields are datetimes; elsewhere they are numbers
_STATE = _Layout(State, but={"unknown"})  # unknown fields go back to where they were
_RUN = _Layout(HandlerRun)
# The parts of a document that are dataclasses of their own. The handlers of a registration are made on
# reading, from the state's own.
_PARTS = {
    "registration": _Layout(Registration, but={"handlers"}),
    "credentials": _Layout(Credentials),
    "claim": _Layout(Claim),
    "event": _Layout(SignedEvent),
}
_ENCODER = json.JSONEncoder(default=datetime.isoformat, separators=(",", ":"))


def to_bytes(state: State) -> bytes:
    """Return the document of a state."""
    document = {"v": _FORM, **_STATE.write(state)}
    for part, layout in _PARTS.items():
        if document.get(part) is not None:
            document[part] = layout.write(document[part])
    document["handlers"] = [_RUN.write(run) for run in state.handlers]
    for part, unknown in state.unknown.items():
        _add_unknown(document, part, unknown)
    return _ENCODER.encode(document).encode()


def from_bytes(data: bytes) -> State:
    """Return the state of a document. Raises ValueError if the bytes are not a document."""
    try:
        return _state_of(json.loads(data))
    except (AttributeError, KeyError, TypeError, RecursionError):
        raise ValueError("not a document of a state") from None


def _state_of(document: Any) -> State:
    if document.pop("v") != _FORM:
        raise ValueError("written by a newer release of ca_embed")
    unknown: dict[str, dict[str, object]] = {}
    for part, layout in _PARTS.items():
        if document.get(part) is not None:
            document[part] = layout.read(document[part], unknown, part)
    document["handlers"] = tuple(
        _RUN.read(run, unknown, f"handlers/{run['name']}") for run in document["handlers"]
    )
    document["host_handlers"] = tuple(document["host_handlers"])
    state: State = _STATE.read(document, unknown, "")
    return replace(state, unknown=unknown) if unknown else state


def _add_unknown(document: dict[str, Any], part: str, unknown: Any) -> None:
    """Put fields back where they were, if that part is still there."""
    if part.startswith("handlers/"):
        for run in document["handlers"]:
            if run["name"] == part.removeprefix("handlers/"):
                run.update(unknown)
    elif part == "":
        document.update(unknown)
    elif document.get(part) is not None:
        document[part].update(unknown)
