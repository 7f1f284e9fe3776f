"""Finish what a lost webhook, a crash or a failing handler left open: take what is due, one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ca_embed._registrar import Accepted, Handover, Registrar
from ca_embed._registration import RECONCILE_EVERY, Outcome, State, Status
from ca_embed.errors import PartnerRejected, PartnerTimeout, PartnerUnavailable, RecordUnreadable

logger = logging.getLogger("ca_embed")

_UNREACHABLE_ENOUGH = 3  # failures in a row after which the rest of the pass does not ask


@dataclass(slots=True)
class Reconciliation:
    """What one pass did, in registrations and handler runs.

    asked: open sessions the Partner API was asked about. completed: of those, newly completed.
    expired: newly seen as expired. unanswered: asked or to be asked, but the Partner API did not answer.
    handlers_done, handlers_failed: handler runs. unreadable: records that cannot be opened.
    """

    asked: int = 0
    completed: int = 0
    expired: int = 0
    unanswered: int = 0
    handlers_done: int = 0
    handlers_failed: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class Pass:
    """One pass over everything that is due."""

    registrar: Registrar
    clock: Callable[[], float] = time.time
    did: Reconciliation = field(default_factory=Reconciliation)
    _failures_in_a_row: int = 0

    def run(self) -> Reconciliation:
        """Look after each registration that is due. Raises StorageUnavailable if the storage fails."""
        for registration_id in self.registrar.ledger.due(self.clock()):
            try:
                self._look_after(registration_id)
            except RecordUnreadable as error:
                self.did.unreadable += 1
                logger.error("reconcile reason=unreadable %s", error)
        return self.did

    def _look_after(self, registration_id: str) -> None:
        state = self.registrar.ledger.load(registration_id)
        if state is None:
            return
        if state.completed:
            self._run_handlers(registration_id)
        elif self._failures_in_a_row >= _UNREACHABLE_ENOUGH:
            self.did.unanswered += 1
            self.registrar.note_expiry(registration_id)
            self._count_expiry(state)
        else:
            self._ask(state)

    def _ask(self, before: State) -> None:
        registration_id = before.registration.registration_id
        asking = self.registrar.begin_asking(registration_id, every=RECONCILE_EVERY)
        if asking is None:
            return
        self.did.asked += 1
        answer = self.registrar.ask(asking)
        self._count_failures(answer)
        accepted = self.registrar.note_answer(asking, answer)
        if accepted is not None:
            self._completed(registration_id, accepted)
        else:
            self._count_expiry(before)

    def _count_failures(self, answer: object) -> None:
        if isinstance(answer, PartnerTimeout | PartnerUnavailable):
            self.did.unanswered += 1
            self._failures_in_a_row += 1
        else:
            self.did.unanswered += isinstance(answer, PartnerRejected)
            self._failures_in_a_row = 0

    def _completed(self, registration_id: str, accepted: Accepted) -> None:
        if accepted.outcome is Outcome.ACCEPTED:
            self.did.completed += 1
        if accepted.handover is not None:
            self._count_handlers(accepted.handover)
        else:
            self._run_handlers(registration_id)

    def _count_expiry(self, before: State) -> None:
        after = self.registrar.look_up(before.registration.registration_id)
        if after is not None and before.registration.status != Status.EXPIRED == after.registration.status:
            self.did.expired += 1

    def _run_handlers(self, registration_id: str) -> None:
        handover = self.registrar.claim_handlers(registration_id)
        if handover is not None:
            self._count_handlers(handover)

    def _count_handlers(self, handover: Handover) -> None:
        ran = self.registrar.hand_over(handover)
        self.did.handlers_done += ran.done
        self.did.handlers_failed += ran.failed
