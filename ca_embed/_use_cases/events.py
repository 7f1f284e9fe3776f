"""Storing signed events other than the completion, and handing them over in the order of their signing.

An event is stored, sealed, before it is acknowledged. Each is a record of its own, with handler runs and a
claim like those of a registration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from ca_embed import _registration as rules
from ca_embed._events import Event, SignedEvent
from ca_embed._host.handlers import Handlers
from ca_embed._registration import Outcome, State
from ca_embed._use_cases.handler_runner import HandlerRunner, Handover
from ca_embed._use_cases.registrar import Accepted
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import RecordUnreadable, StorageUnavailable

logger = logging.getLogger("ca_embed")


class Events:
    """Accepts events, and claims their handlers in order.

    handlers_at_once: whether the worker that stores an event also runs its handlers.
    """

    def __init__(
        self,
        ledger: Ledger,
        handlers: Handlers,
        runner: HandlerRunner,
        clock: Callable[[], float],
        *,
        handlers_at_once: bool,
    ) -> None:
        """Store events in this ledger. runner: claims their handlers."""
        self._ledger = ledger
        self._handlers = handlers
        self._runner = runner
        self._clock = clock
        self._handlers_at_once = handlers_at_once

    def accept(self, event: SignedEvent) -> Accepted:
        """Store an event for the handlers of this process, exactly once.

        When this returns, an accepted event is on stable storage. One of a user who was erased is a
        duplicate, and is not stored. Raises StorageUnavailable.
        """
        names = self._handlers.names_for(event.name)
        if self._is_of_erased(event):
            return Accepted(Outcome.DUPLICATE)

        def decide(known: State | None) -> tuple[Outcome, State | None]:
            if known is not None:
                return Outcome.DUPLICATE, None
            new = rules.receive(event, now=self._clock(), handlers=names, claim=None)
            return Outcome.ACCEPTED, new

        outcome = self._ledger.change(event.record_id, decide, proves=lambda _outcome: True)
        with suppress(StorageUnavailable):  # noted another time: what matters is stored already
            self._ledger.handler_names.note_once_an_hour(self._handlers.all_names)
        if self._is_of_erased(event):  # erased between the first look and the write
            assert event.registration_id is not None
            self._ledger.delete_events(event.registration_id)
            return Accepted(Outcome.DUPLICATE)
        if outcome is Outcome.DUPLICATE or not self._handlers_at_once:
            return Accepted(outcome)
        handover = None
        with suppress(StorageUnavailable):  # the event is stored already: `reconcile()` runs its handlers
            handover = self.claim(event.record_id)
        return Accepted(outcome, handover)

    def claim(self, record_id: str, *, without: Collection[str] = ()) -> Handover | None:
        """Claim the handlers of an event that are due.

        None if another worker has claimed them, or an event of the same registration that was signed earlier
        still waits for its own.
        """
        state = self._ledger.load(record_id)
        if state is None or state.event is None:
            return None
        if self._is_of_erased(state.event):  # what a worker that died has left
            self._ledger.delete_events(str(state.event.registration_id))
            return None
        others = self._ledger.owing_events(state.event.registration_id)
        if any(rules.must_wait_for(state, other) for other in others):
            return None
        return self._runner.claim(record_id, without=without)

    def of(self, registration_id: str) -> list[Event]:
        """Return the events of a registration, in the order of their signing."""
        states = sorted(self._ledger.events(registration_id), key=rules.event_order)
        return [rules.shown_event(state) for state in states]

    def replay(self, registration_id: str, name: str | None) -> int:
        """Make handler runs of a registration's events due again; return how many events that concerns.

        name: the runs of this handler; None: those that are parked.
        """
        count = 0
        for state in list(self._ledger.events(registration_id)):
            wanted = [
                run.name for run in state.handlers if (run.parked if name is None else run.name == name)
            ]
            for one in wanted:
                again = partial(rules.replayed, name=one, names=(), now=self._clock())
                self._ledger.change_known(state.registration.registration_id, again)
            count += bool(wanted)
        return count

    def _is_of_erased(self, event: SignedEvent) -> bool:
        """Tell whether a tombstone says so, which is durable when this returns: it earns a `duplicate`."""
        if event.registration_id is None:
            return False
        try:
            return self._ledger.change(event.registration_id, _is_tombstone, proves=bool)
        except RecordUnreadable:  # its events are still due
            return False


def _is_tombstone(known: State | None) -> tuple[bool, None]:
    return known is not None and known.erased, None
