"""A registration's state as bytes and back. Pure.

The bytes are JSON. They are sealed before a storage sees them, so their form is ours to change; `v` says
which form it is. Releases run side by side while a new one is rolled out. So fields that this release does
not know are kept and written back, and fields that hold their default are left out: an older release that
knows neither loses nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from ca_embed._registration import Claim, Credentials, HandlerRun, Registration, State

_FORM = 1
# The parts of a document that are dataclasses of their own, and the class of each.
_PARTS: dict[str, type[Any]] = {"registration": Registration, "credentials": Credentials, "claim": Claim}
# Fields that the first release does not know. It refuses a document that has one.
_LATER = frozenset(
    {
        "active_at",
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

_T = TypeVar("_T")


def to_bytes(state: State) -> bytes:
    """Return the document of a state."""
    document = _without_defaults(state, asdict(state))
    del document["unknown"]  # its fields go back to where they were
    document["registration"] = _without_defaults(state.registration, document["registration"])
    del document["registration"]["handlers"]  # made on reading, from the state's own
    document["handlers"] = [_without_defaults(run, asdict(run)) for run in state.handlers]
    for part, unknown in state.unknown.items():
        _add_unknown(document, part, unknown)
    return json.dumps({"v": _FORM, **document}, default=datetime.isoformat, separators=(",", ":")).encode()


def from_bytes(data: bytes) -> State:
    """Return the state of a document. Raises ValueError, KeyError or TypeError if it is none."""
    document = json.loads(data)
    if document.pop("v") != _FORM:
        raise ValueError("written by a newer release of ca_embed")
    unknown: dict[str, dict[str, object]] = {}
    for part, kind in _PARTS.items():
        if document[part] is not None:
            document[part] = _read(kind, _with_times(kind, document[part]), unknown, part)
    document["handlers"] = tuple(
        _read(HandlerRun, run, unknown, f"handlers/{run['name']}") for run in document["handlers"]
    )
    document["host_handlers"] = tuple(document["host_handlers"])
    state = _read(State, document, unknown, "")
    return replace(state, unknown=unknown) if unknown else state


def _read(kind: type[_T], given: dict[str, Any], unknown: dict[str, dict[str, object]], part: str) -> _T:
    """Build one dataclass; put the fields that it does not have aside."""
    names = {field.name for field in fields(kind)} - {"unknown"}  # type: ignore[arg-type]
    if others := {name: value for name, value in given.items() if name not in names}:
        unknown[part] = others
    return kind(**{name: value for name, value in given.items() if name in names})


def _add_unknown(document: dict[str, Any], part: str, unknown: Any) -> None:
    """Put fields back where they were, if that part is still there."""
    if part.startswith("handlers/"):
        for run in document["handlers"]:
            if run["name"] == part.removeprefix("handlers/"):
                run.update(unknown)
    elif part == "":
        document.update(unknown)
    elif document[part] is not None:
        document[part].update(unknown)


def _without_defaults(value: object, written: dict[str, Any]) -> dict[str, Any]:
    """Leave out the later fields that hold their default."""
    return {
        field.name: written[field.name]
        for field in fields(value)  # type: ignore[arg-type]
        if field.name not in _LATER or getattr(value, field.name) != field.default
    }


def _with_times(kind: type[Any], given: dict[str, Any]) -> dict[str, Any]:
    """Turn the ISO texts of the `..._at` fields that the class knows into datetimes."""
    known = {field.name for field in fields(kind)}
    return {
        name: datetime.fromisoformat(value)
        if name in known and name.endswith("_at") and value is not None
        else value
        for name, value in given.items()
    }
