"""Finish what a lost webhook, a crash or a failing handler left open: take what is due, one by one."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ca_embed._registrar import Accepted, Handover, Registrar
from ca_embed._registration import RECONCILE_EVERY, Outcome, State, Status
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import PartnerRejected, PartnerTimeout, PartnerUnavailable, RecordUnreadable

logger = logging.getLogger("ca_embed")

_STOP_ASKING_AFTER = 3  # failures in a row: the Partner API is down, so the rest of the pass does not ask


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


class Pass:
    """One pass over everything that is due."""

    def __init__(self, registrar: Registrar, ledger: Ledger, now: float) -> None:
        """Take what is due by `now`, in Unix seconds."""
        self._registrar = registrar
        self._ledger = ledger
        self._now = now
        self._did = Reconciliation()
        self._failures_in_a_row = 0

    def run(self) -> Reconciliation:
        """Take each registration that is due. Raises StorageUnavailable if the storage fails."""
        for registration_id in self._ledger.due(self._now):
            try:
                self._take(registration_id)
            except RecordUnreadable as error:
                self._did.unreadable += 1
                logger.error("reconcile reason=unreadable %s", error)
        return self._did

    def _take(self, registration_id: str) -> None:
        state = self._ledger.load(registration_id)
        if state is None:
            return
        if state.completed:
            self._run_handlers(registration_id)
        elif self._failures_in_a_row >= _STOP_ASKING_AFTER:
            self._did.unanswered += 1
            self._did.expired += self._registrar.note_expiry(registration_id)
        else:
            self._ask(registration_id)

    def _ask(self, registration_id: str) -> None:
        claimed = self._registrar.claim_question(registration_id, every=RECONCILE_EVERY)
        if claimed is None:
            return
        self._did.asked += 1
        result = self._registrar.ask(claimed)
        self._count_failures(result)
        accepted = self._registrar.note_result(claimed, result)
        if accepted is not None:
            self._finish_completed(registration_id, accepted)
        else:
            self._count_expiry(claimed)

    def _count_failures(self, result: object) -> None:
        if isinstance(result, PartnerTimeout | PartnerUnavailable):
            self._did.unanswered += 1
            self._failures_in_a_row += 1
        else:
            self._did.unanswered += isinstance(result, PartnerRejected)
            self._failures_in_a_row = 0

    def _finish_completed(self, registration_id: str, accepted: Accepted) -> None:
        if accepted.outcome is Outcome.ACCEPTED:
            self._did.completed += 1
        if accepted.handover is not None:
            self._count_handlers(accepted.handover)
        else:
            self._run_handlers(registration_id)

    def _count_expiry(self, before: State) -> None:
        after = self._ledger.load(before.registration.registration_id)
        if after is not None and before.registration.status != Status.EXPIRED == after.registration.status:
            self._did.expired += 1

    def _run_handlers(self, registration_id: str) -> None:
        handover = self._registrar.claim_handlers(registration_id)
        if handover is not None:
            self._count_handlers(handover)

    def _count_handlers(self, handover: Handover) -> None:
        ran = self._registrar.hand_over(handover)
        self._did.handlers_done += ran.done
        self._did.handlers_failed += ran.failed
