"""What the operator's page shows: what waits, what began and ended lately, and what a search finds.

Neither a phone number nor a time of creation can be looked up in a storage. So these are found by reading, at
most a number of records and for a few seconds. The result says if there was more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from ca_embed._host.user_ids import is_user_id
from ca_embed._registration import HANDLER_BAND, PARKED_BAND, State
from ca_embed._vault.ledger import Ledger
from ca_embed._webhook import is_registration_id
from ca_embed.errors import RecordUnreadable

LATE = 15 * 60.0  # seconds after which something that is due has waited too long
HOURS = 24
_MOST_READ = 10_000  # registrations
_LONGEST_READ = 3.0  # seconds
_MOST_SHOWN = 50  # of each list
_MOST_FAILING = 500  # records that are opened to find those that fail
_SHORTEST_PHONE = 5  # digits, so that a short user id causes no search through all phones
_BETWEEN_DIGITS = re.compile(r"[\s()./+-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits, the longest first: states of registrations, or of their events. At most 50 of each.

    overdue: due for over 15 minutes, and nothing has taken it up. parked: failed for a day. failing: tried
    again soon.
    """

    overdue: list[State]
    parked: list[State]
    failing: list[State]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """The registrations that began and were completed in each of the last hours, the oldest hour first.

    latest: those that began last. read: how many were read. complete: whether these were all there are.
    """

    begun: list[int]
    completed: list[int]
    latest: list[State]
    read: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found, at most 50. read and complete: see `Lately`; of the search through the phones."""

    states: list[State]
    read: int = 0
    complete: bool = True


def waiting(ledger: Ledger, now: float) -> Waiting:
    """Return what waits. now: in Unix seconds. Raises StorageUnavailable."""
    late = [
        state for band in (HANDLER_BAND, 0.0) for state in _due(ledger, band, now - LATE, most=_MOST_SHOWN)
    ]
    owing = list(_due(ledger, HANDLER_BAND, PARKED_BAND - 1, most=_MOST_FAILING))
    parked = list(_due(ledger, PARKED_BAND, PARKED_BAND - 1, most=_MOST_SHOWN))
    parked += [state for state in owing if any(run.parked for run in state.handlers)]
    failing = [state for state in owing if any(run.last_error and not run.parked for run in state.handlers)]
    return Waiting(overdue=late[:_MOST_SHOWN], parked=parked[:_MOST_SHOWN], failing=failing[:_MOST_SHOWN])


def lately(ledger: Ledger, now: float) -> Lately:
    """Count what began and was completed in the last 24 hours. Raises StorageUnavailable."""
    begun, completed = [0] * HOURS, [0] * HOURS
    latest: list[State] = []

    def look(state: State) -> None:
        registration = state.registration
        _count(begun, now - registration.created_at.timestamp())
        if registration.completed_at is not None:
            _count(completed, now - registration.completed_at.timestamp())
        latest.append(state)
        if len(latest) > 2 * _MOST_SHOWN:
            latest.sort(key=_age)
            del latest[_MOST_SHOWN:]

    read, complete = _read(ledger, look)
    latest.sort(key=_age)
    return Lately(
        begun=begun, completed=completed, latest=latest[: _MOST_SHOWN // 2], read=read, complete=complete
    )


def find(ledger: Ledger, text: str) -> Found:
    """Find registrations by registration id, user id or phone number. Raises StorageUnavailable."""
    wanted = text.strip()
    states = dict[str, State]()
    if is_registration_id(wanted) and (known := ledger.load(wanted)) is not None:
        states[wanted] = known
    if is_user_id(wanted):
        for state in islice(ledger.states(wanted), _MOST_SHOWN):
            states[state.registration.registration_id] = state
    digits = _BETWEEN_DIGITS.sub("", wanted)
    if states or not (digits.isascii() and digits.isdigit() and len(digits) >= _SHORTEST_PHONE):
        return Found(states=list(states.values())[:_MOST_SHOWN])
    by_phone: list[State] = []

    def look(state: State) -> None:
        if _BETWEEN_DIGITS.sub("", state.registration.phone or "") == digits:
            by_phone.append(state)

    read, complete = _read(ledger, look)
    return Found(states=by_phone[:_MOST_SHOWN], read=read, complete=complete)


def _read(ledger: Ledger, look: Callable[[State], None]) -> tuple[int, bool]:
    """Look at each registration while the limits allow; return how many were read, and whether all."""
    ends, read = time.monotonic() + _LONGEST_READ, 0
    for record in ledger.records():  # not `states()`: it would read on and on through what it leaves out
        if read >= _MOST_READ or time.monotonic() > ends:
            return read, False
        read += 1
        with suppress(RecordUnreadable):  # `ca-embed list` names it
            state = ledger.as_of_now(record)
            if not state.erased:
                look(state)
    return read, True


def _due(ledger: Ledger, band: float, by: float, *, most: int) -> Iterator[State]:
    """Yield the states of a band that are due by that time. Leave out what cannot be opened or was erased."""
    for record in islice(ledger.due(band + by, after=band), most):
        try:
            state = ledger.as_of_now(record)
        except RecordUnreadable:  # `reconcile` names it
            continue
        if not state.erased:
            yield state


def _count(hours: list[int], age: float) -> None:
    """Count something that happened so many seconds ago."""
    if 0 <= age < HOURS * 3600:
        hours[HOURS - 1 - int(age // 3600)] += 1


def _age(state: State) -> float:
    return -state.registration.created_at.timestamp()
