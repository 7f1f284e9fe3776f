"""What the storage still owes: handlers that fail or are parked, and work that nothing takes up."""

from __future__ import annotations

from collections.abc import Iterator

from ca_embed._cli.doctor.finding import Finding, ok, warn
from ca_embed._registration import PARKED_BAND, State, due_at
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import RecordUnreadable

_CHECK = "debts"
_LATE = 15 * 60  # seconds after which something that is due has waited too long


def check_debts(ledger: Ledger, now: float) -> Iterator[Finding]:
    """Warn of parked and failing handlers, and of due work that no reconcile does. now: in Unix seconds."""
    parked = failing = late = 0
    for state in _due(ledger):
        runs = [run for run in state.handlers if run.due_at is not None]
        parked += sum(run.parked for run in runs)
        failing += sum(run.last_error is not None and not run.parked for run in runs)
        late += (due_at(state) or now) < now - _LATE
    if parked:
        message = f"handlers that are parked after failing for a day: {parked}"
        yield warn(_CHECK, message, "Fix them (ca-embed list --failed), and run ca-embed replay.")
    if failing:
        message = f"handlers that fail and are tried again: {failing}"
        yield warn(_CHECK, message, "See which and why: ca-embed list --failed, then ca-embed show.")
    if late:
        message = f"registrations that have been due for over 15 minutes: {late}"
        yield warn(_CHECK, message, "Let cron run ca-embed reconcile every minute, or use reconciling().")
    if not (parked or failing or late):
        yield ok(_CHECK, "no handler fails, and nothing waits too long")


def _due(ledger: Ledger) -> Iterator[State]:
    """Yield all that is due at any time. Leave out what cannot be opened: `reconcile` names it."""
    for record in ledger.due(PARKED_BAND * 2):
        try:
            yield ledger.opened(record)
        except RecordUnreadable:
            continue
