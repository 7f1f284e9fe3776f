"""Small histories, written by hand: which are possible, and which are not."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import pytest

from ca_embed.testing._history.calls import Call, History, Seen, Unavailable, Undo
from ca_embed.testing._history.check import check

LOST = Unavailable("StorageUnavailable", "the connection was lost")


def version(number: int, digest: str = "", *, user: str | None = None, due: float | None = None) -> Seen:
    """A version of the record of these tests."""
    return Seen("r", number, user, due, digest or f"d{number}")


def save(began: float, ended: float, record: Seen, outcome: Any = True) -> Call:
    """A save."""
    return Call("p", 0, "save", [record], began, ended, outcome)


def delete(began: float, ended: float, number: int, outcome: Any = True) -> Call:
    """A deletion."""
    return Call("p", 0, "delete", ["r", number], began, ended, outcome)


def load(began: float, ended: float, outcome: Any) -> Call:
    """A load."""
    return Call("p", 0, "load", ["r"], began, ended, outcome)


def due(began: float, ended: float, *page: Seen, by: float = 9.0, limit: int = 9) -> Call:
    """A page of due records."""
    return Call("p", 0, "due", [by, limit, None], began, ended, list(page))


def violations(calls: Sequence[Call], *undos: Undo) -> Sequence[str]:
    """What the check finds."""
    return check(History(sorted(calls, key=lambda call: call.began), undos, 1)).violations


POSSIBLE: dict[str, list[Call]] = {
    "a read beside a save shows either": [
        save(1, 2, version(1)),
        save(3, 6, version(2)),
        load(4, 5, version(2)),
        load(4, 5, version(1)),
    ],
    "a save of a killed process happened": [save(1, inf, version(1), None), load(2, 3, version(1))],
    "a save of a killed process happens late": [
        save(1, inf, version(1), None),
        load(2, 3, None),
        load(4, 5, version(1)),
    ],
    "a save that raised never happened": [save(1, 2, version(1), LOST), load(3, 4, None)],
    "a save that raised happened before a save that won": [
        save(1, 2, version(1), LOST),
        save(3, 4, version(2)),
        load(5, 6, version(2)),
    ],
    "one of two wins": [
        save(1, 4, version(1, "a")),
        save(2, 3, version(1, "b"), False),
        load(5, 6, version(1, "a")),
    ],
    "deleted and created again": [
        save(1, 2, version(1)),
        delete(3, 4, 1),
        save(5, 6, version(1, "again")),
        load(7, 8, version(1, "again")),
    ],
    "a page misses a record while it moves": [
        save(1, 2, version(1, due=5.0)),
        save(3, 6, version(2, due=7.0)),
        due(4, 5),
    ],
    "a full page ends before the record": [
        save(1, 2, version(1, due=5.0)),
        Call("p", 0, "save", [Seen("a", 1, None, 4.0, "x")], 1, 2, True),
        due(3, 4, Seen("a", 1, None, 4.0, "x"), limit=1),
    ],
}

IMPOSSIBLE: dict[str, tuple[str, list[Call]]] = {
    "won twice": ("won more than once", [save(1, 2, version(1, "a")), save(3, 4, version(1, "b"))]),
    "won twice at once": ("won more than once", [save(1, 4, version(1, "a")), save(2, 3, version(1, "b"))]),
    "acknowledged and lost": (
        "found nothing, although version 1",
        [save(1, 2, version(1)), load(3, 4, None)],
    ),
    "acknowledged and gone at the end": (
        "a read went back",
        [save(1, 2, version(1)), save(3, 4, version(2)), load(5, 6, version(1))],
    ),
    "seen and gone": (
        "found nothing",
        [save(1, inf, version(1), None), load(2, 3, version(1)), load(4, 5, None)],
    ),
    "no one saved it": ("no one has saved", [save(1, 2, version(1)), load(3, 4, version(1, "other"))]),
    "columns of another save": (
        "columns of another save",
        [save(1, 2, version(1)), save(3, 4, version(2, due=5.0)), load(5, 6, version(2))],
    ),
    "refused but stored": (
        "returned False, but it has stored",
        [save(1, 2, version(1)), save(3, 4, version(2), False), load(5, 6, version(2))],
    ),
    "refused without reason": ("was refused", [save(1, 2, version(1)), save(3, 4, version(2), False)]),
    "deleted but there": (
        "had been deleted",
        [save(1, 2, version(1)), delete(3, 4, 1), load(5, 6, version(1))],
    ),
    "deleted another version": (
        "a delete was acknowledged",
        [save(1, 2, version(1)), save(3, 4, version(2)), delete(5, 6, 1)],
    ),
    "missing on a page": ("the page of `due` omits it", [save(1, 2, version(1, due=5.0)), due(3, 4)]),
    "on a page too early": (
        "does not belong",
        [save(1, 2, version(1, due=5.0)), due(3, 4, version(1, due=5.0), by=4.0)],
    ),
    "more than the limit": (
        "the limit is 0",
        [save(1, 2, version(1, due=5.0)), due(3, 4, version(1, due=5.0), limit=0)],
    ),
    "unreadable": ("unreadable", [save(1, 2, version(1, due=5.0)), due(3, 4, version(0, due=5.0))]),
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_a_possible_history_is_accepted(name: str) -> None:
    """There is an order of the calls that explains what they returned."""
    assert violations(POSSIBLE[name]) == []


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_history_is_refused(name: str) -> None:
    """The first sentence names what is wrong, and the call is marked."""
    words, calls = IMPOSSIBLE[name]
    text = "\n".join(violations(calls))
    assert words in text
    assert "<--" in text


SEEN_AND_GONE = IMPOSSIBLE["seen and gone"][1]


def test_a_failover_may_undo_what_was_not_acknowledged() -> None:
    """Within such a time, and not outside of it, a read may go back behind a write without an outcome."""
    assert violations(SEEN_AND_GONE, Undo(3.5, 3.6)) == []
    assert violations(SEEN_AND_GONE, Undo(1.0, 1.5)) != []
    assert violations(SEEN_AND_GONE, Undo(6.0, 7.0)) != []


def test_a_failover_must_not_undo_what_was_acknowledged() -> None:
    """Not even if the write that follows it is undone."""
    calls = [save(1, 2, version(1)), save(3, inf, version(2), None), load(4, 5, version(2))]
    assert violations([*calls, load(8, 9, version(1))], Undo(6, 7)) == []
    assert violations([*calls, load(8, 9, None)], Undo(6, 7)) != []
    assert violations([*calls, save(5, 6, version(3)), load(8, 9, version(1))], Undo(6.5, 7)) != []


def test_many_unknown_writes_can_be_decided() -> None:
    """Hundreds of calls without an outcome, as while a server is away, leave few possibilities."""
    calls = [
        save(1 + number / 1000, inf, version(1 + number % 3, f"u{number}"), None) for number in range(300)
    ]
    calls += [delete(2 + number / 1000, inf, 1 + number % 3, None) for number in range(100)]
    calls += [load(4, 5, version(3, "u299")), save(6, 7, version(4)), load(8, 9, version(4))]
    assert violations(calls) == []
    assert violations([*calls, load(10, 11, version(1, "no one's"))]) != []
