"""Prints the calls that show that a storage broke its promises."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from ca_embed.testing._history.calls import Call, Unavailable
from ca_embed.testing._history.search import Step, Stored

_BEFORE = 14  # calls to show


def explain(registration_id: str, steps: Sequence[Step], wrong: Step, possible: Sequence[Stored]) -> str:
    """Say what is wrong with a record, and show the calls that led to it.

    possible: what may have been stored before the wrong step had to happen.
    """
    calls = list(dict.fromkeys(step.call for step in steps if step.began <= wrong.ended))
    calls.sort(key=lambda call: call.began)
    stored = "; or ".join("nothing" if one is None else str(one) for one in possible[:4])
    return "\n".join(
        [
            f"record {registration_id!r}: {_diagnose(steps, wrong)}.",
            f"No order of the calls explains the marked one. Before it, this may have been stored: {stored}.",
            *_table(_relevant(calls, wrong.call), wrong.call),
        ]
    )


def explain_call(problem: str, call: Call) -> str:
    """Say what is wrong with one call by itself."""
    return "\n".join([f"{call.name}: {problem}.", *_table([call], call)])


def _relevant(calls: Sequence[Call], wrong: Call) -> list[Call]:
    """Return the last calls before the wrong one, and all writes that were acknowledged among the last."""
    before = [call for call in calls if call is not wrong]
    writes = [call for call in before if call.name in ("save", "delete") and call.outcome is not False]
    chosen = {id(call) for call in [*before[-_BEFORE:], *writes[-4:]]}
    return [call for call in calls if id(call) in chosen or call is wrong]


def _table(calls: Sequence[Call], wrong: Call) -> list[str]:
    """Return the lines of a table. The times are seconds since the first call in it."""
    rows = [_row(call, calls[0].began, "<--" if call is wrong else "") for call in calls]
    head = ("from", "to", "process", "call", "result", "")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return [
        "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]


def _row(call: Call, start: float, mark: str) -> tuple[str, ...]:
    ended = "" if call.ended == inf else f"{call.ended - start:.6f}"
    return f"{call.began - start:.6f}", ended, call.process, _words(call), _result(call), mark


def _words(call: Call) -> str:
    if call.name == "save":
        return f"save {call.arguments[0]}"
    if call.name == "delete":
        return f"delete version {call.arguments[1]}"
    if call.name == "load":
        return "load"
    asked, limit, after = call.arguments
    start = "" if after is None else f" after {after!r}"
    if call.name == "due":
        return f"due by {asked:g}, limit {limit}{start}"
    return f"list {'all' if asked is None else f'of user {asked}'}, limit {limit}{start}"


def _result(call: Call) -> str:
    if call.ended == inf:
        return "unknown: killed"
    outcome: Any = call.outcome
    if isinstance(outcome, Unavailable):
        return f"unknown: {outcome.error}"
    if isinstance(outcome, list):
        return f"{len(outcome)} records: {', '.join(one.registration_id for one in outcome[:6])}"
    return str(outcome)


# --- a guess in words -----------------------------------------------------------------------------


def _diagnose(steps: Sequence[Step], wrong: Step) -> str:
    """Say in one sentence what the wrong step most likely shows."""
    call = wrong.call
    if call.outcome is True:
        return _wrong_write(steps, wrong)
    if call.outcome is False:
        if call.name == "save" and any(call.arguments[0] == step.shows for step in steps):
            return "a save returned False, but it has stored its record"
        return f"a {call.name} was refused, although the stored version was the expected one"
    if wrong.lenient:
        return f"the page of `{call.name}` omits it"
    return _wrong_read(steps, wrong, wrong.shows)


def _wrong_write(steps: Sequence[Step], wrong: Step) -> str:
    rivals = [
        step
        for step in steps
        if step is not wrong and step.expects == wrong.expects and step.call.outcome is True
    ]
    what = "a delete" if wrong.writes is None else f"version {wrong.writes.version}"
    if wrong.writes is not None and any(rival.writes for rival in rivals):
        return f"{what} was won more than once, or was won over a version that was not there"
    return f"{what} was acknowledged, although the stored version was not the expected one"


def _wrong_read(steps: Sequence[Step], wrong: Step, shown: Stored) -> str:
    saves = [step.call for step in steps if step.call.name == "save"]
    before = [
        step
        for step in steps
        if step.call.outcome is True and step.ended < wrong.began and step.expects is not None
    ]
    name = wrong.call.name
    if shown is None:
        if before and before[-1].writes is not None:
            return (
                f"`{name}` found nothing, although version {before[-1].writes.version} had been acknowledged"
            )
        return f"`{name}` found nothing"
    if not any(save.arguments[0].digest == shown.digest for save in saves):
        return f"`{name}` showed a document that no one has saved: it is torn or damaged"
    same = [save for save in saves if save.arguments[0] == shown]
    if not same:
        return f"`{name}` showed a document with the columns of another save: the record is torn"
    if all(save.outcome is False for save in same):
        return f"`{name}` showed what a save had written that returned False"
    if before and (last := before[-1].writes) is None:
        return f"`{name}` showed a record that had been deleted"
    if before and last is not None and last.version > shown.version:
        return (
            f"a read went back: `{name}` showed version {shown.version}, although version {last.version} had "
            "been acknowledged"
        )
    return f"`{name}` showed what could not be stored at that time"
