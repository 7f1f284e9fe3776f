"""Checks a recorded history of a storage: whether it kept what the protocol promises."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from operator import eq
from pathlib import Path

from ca_embed.testing._history.calls import Call, History, Seen, Unavailable, read_history
from ca_embed.testing._history.counterexample import explain, explain_call
from ca_embed.testing._history.search import Step, Stored, Undecided, first_impossible

_UNKNOWN = "StorageUnavailable"


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """What a check of a history found.

    calls: how many calls were recorded. processes: by how many processes.
    records: how many records they used.
    acknowledged: the writes that returned True.
    unknown: the writes whose outcome no one knows: the process was killed, or the call raised an error.
    violations: each with the calls that show it, as text. Empty if the storage kept its promises.
    """

    calls: int
    processes: int
    records: int
    acknowledged: int
    unknown: int
    violations: Sequence[str] = field(repr=False)

    def __str__(self) -> str:
        figures = (
            f"{self.calls} calls by {self.processes} processes on {self.records} records: "
            f"{self.acknowledged} writes acknowledged, {self.unknown} unknown, "
            f"{len(self.violations)} violations"
        )
        return "\n\n".join([figures, *self.violations])


def check_history(folder: str | os.PathLike[str]) -> HistoryReport:
    """Check the history that `RecordedStorage` has written into the files of a folder.

    For each record there must be one order of all calls that explains what each of them returned. So each
    version is won once, what was acknowledged is there at the end, and no read goes back. What a page omits
    must not have been there.
    """
    return check(read_history(Path(folder)))


def check(history: History) -> HistoryReport:
    """Check a history."""
    violations = [text for call in history.calls if (text := _wrong_by_itself(call))]
    steps = _steps(history.calls)
    for registration_id in sorted(steps):
        ordered = steps[registration_id]
        try:
            found = first_impossible(ordered, history.undos)
        except Undecided:
            violations.append(
                f"record {registration_id!r}: too many calls have an unknown outcome to check it: "
                "let the processes wait longer after an error"
            )
            continue
        if found:
            violations.append(explain(registration_id, ordered, *found))
    writes = [call for call in history.calls if call.name in ("save", "delete")]
    return HistoryReport(
        calls=len(history.calls),
        processes=history.processes,
        records=len(steps),
        acknowledged=sum(call.outcome is True for call in writes),
        unknown=sum(call.unknown for call in writes),
        violations=violations,
    )


# --- what one call shows by itself ----------------------------------------------------------------


def _wrong_by_itself(call: Call) -> str | None:
    """Return what is wrong with a call, whatever the others did. None if nothing is."""
    problem = None
    if isinstance(call.outcome, Unavailable):
        if call.outcome.error != _UNKNOWN:
            problem = f"raised {call.outcome.error}, not {_UNKNOWN}: {call.outcome.text}"
    elif call.ended != inf and call.name in ("due", "list"):
        problem = _wrong_with_page(call)
    return problem and explain_call(problem, call)


def _wrong_with_page(call: Call) -> str | None:
    page: Sequence[Seen] = call.outcome
    limit = call.arguments[1]
    if len(page) > limit:
        return f"the page has {len(page)} records, and the limit is {limit}"
    ids = [one.registration_id for one in page]
    if len(set(ids)) < len(ids):
        return "a record is on the page twice"
    if unreadable := [one.registration_id for one in page if one.version == 0]:
        return f"record {unreadable[0]!r} is unreadable"
    keys = [_place(call, one) for one in page]
    if keys != sorted(keys):
        return "the page is not sorted"
    if strangers := [one for one in page if not _belongs(call, one)]:
        return f"record {strangers[0].registration_id!r} does not belong on the page"
    return None


def _place(call: Call, one: Seen) -> tuple[float, str]:
    """Return what pages are sorted by."""
    due_at = one.due_at if call.name == "due" else None
    return (-inf if due_at is None else due_at, one.registration_id)


def _belongs(call: Call, one: Stored) -> bool:
    """Tell whether a record, as stored, belongs on a page that has no limit."""
    asked, _, after = call.arguments
    if one is None:
        return False
    if call.name == "list":
        return (asked is None or one.user_id == asked) and (after is None or one.registration_id > after)
    if one.due_at is None or one.due_at > asked:
        return False
    return after is None or (one.due_at, one.registration_id) > (after[0], after[1])


# --- the steps at each record ---------------------------------------------------------------------


def _steps(calls: Sequence[Call]) -> dict[str, list[Step]]:
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    places = _Places(calls)
    for call in calls:
        for registration_id, step in _steps_of(call, places):
            steps[registration_id].append(step)
    return steps


def _steps_of(call: Call, places: _Places) -> Iterator[tuple[str, Step]]:
    if call.name in ("save", "delete"):
        yield _write(call)
    elif call.unknown:
        return
    elif call.name == "load":
        yield call.arguments[0], _showing(call, call.outcome)
    else:
        shown = {one.registration_id: one for one in call.outcome}
        for registration_id, one in shown.items():
            yield registration_id, _showing(call, one)
        for registration_id in places.candidates(call) - set(shown):
            yield registration_id, _look(call, partial(_may_be_missing, call), lenient=True)


def _write(call: Call) -> tuple[str, Step]:
    if call.name == "save":
        record: Seen = call.arguments[0]
        registration_id, expected, after = record.registration_id, record.version - 1, record
    else:
        (registration_id, expected), after = call.arguments, None
    if call.outcome is False:
        return registration_id, _look(call, lambda stored: (stored.version if stored else 0) != expected)
    ended = inf if call.unknown else call.ended
    return registration_id, Step(call, call.began, ended, expects=expected, writes=after)


def _look(call: Call, fits: Callable[[Stored], bool], *, lenient: bool = False) -> Step:
    return Step(call, call.began, call.ended, fits=fits, lenient=lenient)


def _showing(call: Call, shown: Stored) -> Step:
    fits: Callable[[Stored], bool] = partial(eq, shown)
    return Step(call, call.began, call.ended, fits=fits, shows=shown)


def _may_be_missing(call: Call, stored: Stored) -> bool:
    """Tell whether a record, as stored, may be missing on the page: it belongs elsewhere, or behind it."""
    if not _belongs(call, stored):
        return True
    assert stored is not None
    page: Sequence[Seen] = call.outcome
    return len(page) == call.arguments[1] and _place(call, stored) > _place(call, page[-1])


class _Places:
    """Which records may ever have belonged on a page."""

    def __init__(self, calls: Sequence[Call]) -> None:
        saves = [call for call in calls if call.name == "save"]
        records: list[Seen] = [call.arguments[0] for call in saves]
        self._first: dict[str, float] = {}
        for call in saves:
            self._first.setdefault(call.arguments[0].registration_id, call.began)
        self._ids = sorted(self._first)
        self._dues = sorted({(one.due_at, one.registration_id) for one in records if one.due_at is not None})
        self._of_user: defaultdict[str, set[str]] = defaultdict(set)
        for one in records:
            if one.user_id is not None:
                self._of_user[one.user_id].add(one.registration_id)

    def candidates(self, call: Call) -> set[str]:
        """Return the ids of the records that may have belonged on the page of this call."""
        asked, limit, after = call.arguments
        if limit < 1:
            return set()
        last: Seen | None = call.outcome[-1] if len(call.outcome) == limit else None
        if call.name == "due":
            found = self._due(asked, tuple(after) if after else None, last)
        elif asked is not None:
            found = self._of_user[asked]
        else:
            begin = 0 if after is None else bisect_right(self._ids, after)
            end = len(self._ids) if last is None else bisect_right(self._ids, last.registration_id)
            found = set(self._ids[begin:end])
        return {one for one in found if self._first[one] < call.ended}

    def _due(self, by: float, after: tuple[float, str] | None, last: Seen | None) -> set[str]:
        begin = 0 if after is None else bisect_right(self._dues, after)
        if last is None:
            end = bisect_left(self._dues, (by, "\U0010ffff" * 256))
        else:
            assert last.due_at is not None
            end = bisect_right(self._dues, (last.due_at, last.registration_id))
        return {registration_id for _, registration_id in self._dues[begin:end]}
