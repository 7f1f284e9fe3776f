"""What the storage still owes: handlers that fail or are parked, and work that nothing takes up.

The check reads no more than a number of records, so it also ends soon in a large storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ca_embed._cli.doctor.finding import Finding, ok, warn
from ca_embed._registration import HANDLER_BAND, PARKED_BAND, HandlerRun
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import RecordUnreadable

_CHECK = "debts"
_LATE = 15 * 60  # seconds after which something that is due has waited too long
_MOST = 1_000  # records that are read in each band


def check_debts(ledger: Ledger, now: float) -> Iterator[Finding]:
    """Warn of parked and failing handlers, and of due work that no reconcile does. now: in Unix seconds."""
    parked = [run for run in _runs(ledger, PARKED_BAND) if run.parked]
    waiting = [run for run in _runs(ledger, HANDLER_BAND) if run.due_at is not None and not run.parked]
    failing = [run for run in waiting if run.last_error is not None]
    late = sum(_count(ledger, band, now - _LATE) for band in (HANDLER_BAND, 0.0))
    if parked:
        message = f"handlers that are parked after failing for a day: {_shown(len(parked))}"
        yield warn(_CHECK, message, "Fix them (ca-embed list --failed), and run ca-embed replay.")
    if failing:
        message = f"handlers that fail and are tried again: {_shown(len(failing))}"
        yield warn(_CHECK, message, "See which and why: ca-embed list --failed, then ca-embed show.")
    if late:
        message = f"registrations that have been due for over 15 minutes: {_shown(late)}"
        yield warn(_CHECK, message, "Let cron run ca-embed reconcile every minute, or use reconciling().")
    if not (parked or failing or late):
        yield ok(_CHECK, "no handler fails, and nothing waits too long")


def _runs(ledger: Ledger, band: float) -> Iterator[HandlerRun]:
    """Yield the handler runs of a band. Leave out what cannot be opened: `reconcile` names it."""
    for record in islice(ledger.due(band + PARKED_BAND - 1, after=band), _MOST):
        try:
            yield from ledger.opened(record).handlers
        except RecordUnreadable:
            continue


def _count(ledger: Ledger, band: float, by: float) -> int:
    """Count the records of a band that are due by that time, without opening them."""
    return sum(1 for _ in islice(ledger.due(band + by, after=band), _MOST))


def _shown(count: int) -> str:
    return str(count) if count < _MOST else f"{_MOST:,} or more"
