"""Maintenance of a storage: rotate keys, erase users, remove expired sessions.

Each function goes record by record and uses the storage's compare-and-swap. So it may run while the
application runs. After an interruption, run it again: it continues with what is left.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ca_embed._log import fields
from ca_embed._registration import State, erased
from ca_embed._vault.keyring import key_id_of
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import RecordUnreadable
from ca_embed.storage._base import SealedRecord

logger = logging.getLogger("ca_embed")

Progress = Callable[[int], None]
"""Gets the number of registrations that have been checked so far."""


@dataclass(slots=True)
class Rotation:
    """What a rotation did, in numbers of records.

    resealed: are now under the first key (with `dry_run`: would be).
    current: were under it already.
    unreadable: cannot be opened, and were not changed. The log names them.
    """

    resealed: int = 0
    current: int = 0
    unreadable: int = 0


def rotate_keys(ledger: Ledger, *, dry_run: bool = False, progress: Progress | None = None) -> Rotation:
    """Seal every record under the first key, unless it is already, and forget the keys that no record needs.

    Raises StorageUnavailable; UnknownKey if the keys do not fit the storage at all.
    """
    ledger.canary.before_opening()
    counts, still_used = Rotation(), set[str]()
    for seen, record in enumerate(ledger.all_records(), start=1):
        if ledger.is_sealed_as_today(record):
            counts.current += 1
        elif not _reseal(ledger, record, counts, dry_run=dry_run):
            still_used.add(key_id_of(record.document) or "foreign")
        if progress:
            progress(seen)
    if not dry_run:
        ledger.canary.forget_unused(still_used)
    return counts


def _reseal(ledger: Ledger, record: SealedRecord, counts: Rotation, *, dry_run: bool) -> bool:
    """Seal a record under the first key. False if it cannot be opened."""
    try:
        if dry_run:
            ledger.opened(record)
        else:
            ledger.reseal(record)
        counts.resealed += 1
    except RecordUnreadable as error:
        extra = fields("unreadable", error.registration_id)
        logger.error("rotate-keys reason=unreadable %s", error, extra=extra)
        counts.unreadable += 1
        return False
    return True


def key_usage(ledger: Ledger) -> Counter[str]:
    """Count the records under each key id. Records that ca_embed did not seal count under "foreign"."""
    return Counter(key_id_of(record.document) or "foreign" for record in ledger.all_records())


def forget(ledger: Ledger, user_id: str) -> int:
    """Erase all registrations of a user, with their credentials. Return how many.

    A tombstone stays for some days in place of each, without a trace of the user. So a webhook or an answer
    that is under way does not bring the user back. A registration that is stored meanwhile is erased too.
    """
    count = 0
    while records := list(ledger.records(user_id)):
        for record in records:
            # First the events: after an interruption, only the record leads to them. Then those that came
            # meanwhile; a pass removes what is still left.
            ledger.delete_events(record.registration_id)
            count += _erase(ledger, record)
            ledger.delete_events(record.registration_id)
    ledger.session_limit(None).forget(user_id)
    return count


def _erase(ledger: Ledger, record: SealedRecord) -> bool:
    def decide(known: State | None) -> tuple[bool, State | None]:
        if known is None or known.registration.user_id != record.user_id:
            return False, None
        return True, erased(known, ledger.now())

    try:
        return ledger.change(record.registration_id, decide)
    except RecordUnreadable:  # no tombstone can be made of it
        return ledger.delete(record)


def purge_expired(ledger: Ledger, *, older_than: timedelta, now: float, dry_run: bool = False) -> int:
    """Remove sessions that expired so long ago without a completion. Return how many.

    A session that changes meanwhile, as by a completion, stays.

    now: in Unix seconds. dry_run: only count them.
    """
    try:
        limit = datetime.fromtimestamp(now, UTC) - older_than
    except OverflowError:  # older than any time that a datetime can hold
        return 0
    return sum(
        dry_run or ledger.delete(record) for record in ledger.records() if _is_stale(ledger, record, limit)
    )


def _is_stale(ledger: Ledger, record: SealedRecord, limit: datetime) -> bool:
    try:
        state = ledger.opened(record)
    except RecordUnreadable as error:
        logger.error("purge reason=unreadable %s", error, extra=fields("unreadable", error.registration_id))
        return False
    registration = state.registration
    ended = registration.expires_at or registration.created_at
    return not state.completed and not state.has_ended and ended < limit
