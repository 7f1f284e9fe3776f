"""The history of a storage: the calls that processes made, in files of JSON lines.

A process has one file, `<process>.jsonl`. It writes a line before each call and a line after it. So a call
of a process that was killed is in the history too, without an outcome.

    {"call": 7, "at": 81.25, "name": "save", "with": [["r1", 2, "ann", 5.0, "9f86d081884c7d65"]]}
    {"of": 7, "at": 81.26, "result": true}
    {"of": 8, "at": 81.27, "error": "StorageUnavailable", "text": "..."}
    {"undo": [81.2, 81.9]}

A record is a list: id, version, user, due time, and the beginning of the SHA-256 digest of the document.
Times are those of `time.monotonic()`, which all processes of one machine share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from ca_embed.storage import SealedRecord


class Seen(NamedTuple):
    """A record as it is noted in a history."""

    registration_id: str
    version: int
    user_id: str | None
    due_at: float | None
    digest: str

    def __str__(self) -> str:
        columns = [f"version {self.version}", f"document {self.digest[:6]}"]
        if self.user_id is not None:
            columns.append(f"user {self.user_id}")
        if self.due_at is not None:
            columns.append(f"due {self.due_at:g}")
        return ", ".join(columns)


class Unavailable(NamedTuple):
    """The outcome of a call that raised an error: the type of the error, and its text."""

    error: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a storage.

    arguments: as the line in the history has them, with a `Seen` in place of each record.
    ended: when it returned or raised; infinite if nothing is known of its end.
    outcome: what it returned, with a `Seen` in place of each record; `Unavailable`; or None, which is also
        what `load` returns for "not found": `ended` tells whether it has returned.
    """

    process: str
    number: int
    name: str
    arguments: Sequence[Any]
    began: float
    ended: float
    outcome: Any

    @property
    def unknown(self) -> bool:
        """Whether no one knows if the call did its work: its process was killed, or it raised an error."""
        return self.ended == inf or isinstance(self.outcome, Unavailable)


class Undo(NamedTuple):
    """A time in which the storage may have lost writes that it had not acknowledged."""

    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class History:
    """All calls of all processes."""

    calls: Sequence[Call]
    undos: Sequence[Undo]
    processes: int


def seen(record: SealedRecord) -> Seen:
    """Note a record."""
    digest = sha256(record.document).hexdigest()[:16]
    return Seen(record.registration_id, record.version, record.user_id, record.due_at, digest)


def read_history(folder: Path) -> History:
    """Read all files of a history. The last line of a process that was killed may be cut off."""
    calls: list[Call] = []
    undos: list[Undo] = []
    files = sorted(folder.glob("*.jsonl"))
    for file in files:
        calls.extend(_calls(file.stem, _lines(file), undos))
    calls.sort(key=lambda call: call.began)
    return History(calls, undos, len(files))


def _lines(file: Path) -> Iterable[dict[str, Any]]:
    *whole, _cut_off = file.read_bytes().split(b"\n")
    return map(json.loads, whole)


def _calls(process: str, lines: Iterable[dict[str, Any]], undos: list[Undo]) -> Iterable[Call]:
    open_calls: dict[int, tuple[str, Sequence[Any], float]] = {}
    for line in lines:
        if "undo" in line:
            undos.append(Undo(*line["undo"]))
        elif "call" in line:
            open_calls[line["call"]] = line["name"], _restored(line["with"]), line["at"]
        else:
            name, arguments, began = open_calls.pop(line["of"])
            outcome = (
                Unavailable(line["error"], line["text"]) if "error" in line else _result(name, line["result"])
            )
            yield Call(process, line["of"], name, arguments, began, line["at"], outcome)
    for number, (name, arguments, began) in open_calls.items():
        yield Call(process, number, name, arguments, began, inf, None)


def _restored(arguments: Sequence[Any]) -> Sequence[Any]:
    return [
        Seen(*one) if isinstance(one, list) and len(one) == len(Seen._fields) else one for one in arguments
    ]


def _result(name: str, result: Any) -> Any:
    if name == "load":
        return None if result is None else Seen(*result)
    if name in ("due", "list"):
        return [Seen(*one) for one in result]
    return result
