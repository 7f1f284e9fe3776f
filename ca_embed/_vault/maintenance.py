"""Maintenance of a storage: rotate keys, erase users, remove expired sessions, copy to another storage.

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
from ca_embed._vault.canary import copy_canary
from ca_embed._vault.keyring import key_id_of
from ca_embed._vault.ledger import Ledger, registrations_in
from ca_embed.errors import RecordUnreadable
from ca_embed.storage._base import SealedRecord, Storage

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


@dataclass(slots=True)
class Copied:
    """What a copy did, in numbers of records.

    written: are new in the target.
    present: were in the target already.
    differing: have another content in the target, which was not changed. The log names them.
    unreadable: are not records of ca_embed, and were not copied. The log names them.
    """

    written: int = 0
    present: int = 0
    differing: int = 0
    unreadable: int = 0


def rotate_keys(ledger: Ledger, *, dry_run: bool = False, progress: Progress | None = None) -> Rotation:
    """Seal every record under the first key, unless it is already. Raises StorageUnavailable."""
    counts, first_key_id = Rotation(), ledger.key_ids[0]
    for seen, record in enumerate(ledger.records(), start=1):
        if key_id_of(record.document) == first_key_id:
            counts.current += 1
        else:
            _reseal(ledger, record, counts, dry_run=dry_run)
        if progress:
            progress(seen)
    return counts


def _reseal(ledger: Ledger, record: SealedRecord, counts: Rotation, *, dry_run: bool) -> None:
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


def key_usage(ledger: Ledger) -> Counter[str]:
    """Count the records under each key id. Records that ca_embed did not seal count under "foreign"."""
    return Counter(key_id_of(record.document) or "foreign" for record in ledger.records())


def forget(ledger: Ledger, user_id: str) -> int:
    """Erase all registrations of a user, with their credentials. Return how many.

    A tombstone stays for some days in place of each, without a trace of the user. So a webhook or an answer
    that is under way does not bring the user back. A registration that is stored meanwhile is erased too.
    """
    count = 0
    while records := list(ledger.records(user_id)):
        count += sum(_erase(ledger, record) for record in records)
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


def copy(source: Storage, target: Storage, *, progress: Progress | None = None) -> Copied:
    """Copy all sealed records to another storage, and read each back to see that it arrived.

    Records that the target already has are not changed. Records stay sealed, so the same encryption keys
    open them there. Raises StorageUnavailable.
    """
    counts = Copied()
    copy_canary(source, target)
    for seen, record in enumerate(registrations_in(source), start=1):
        _copy(record, target, counts)
        if progress:
            progress(seen)
    return counts


def _copy(record: SealedRecord, target: Storage, counts: Copied) -> None:
    if key_id_of(record.document) is None:
        extra = fields("unreadable", record.registration_id)
        logger.error("copy reason=unreadable record %r", record.registration_id, extra=extra)
        counts.unreadable += 1
        return
    before = target.load(record.registration_id)
    if before is None:
        target.save(_first_version(record))
    arrived = target.load(record.registration_id)
    if arrived is None or arrived.document != record.document:
        extra = fields("differing", record.registration_id)
        logger.warning("copy reason=differing record %r", record.registration_id, extra=extra)
        counts.differing += 1
    elif before is None:
        counts.written += 1
    else:
        counts.present += 1


def _first_version(record: SealedRecord) -> SealedRecord:
    return SealedRecord(record.registration_id, 1, record.user_id, record.due_at, record.document)


def _is_stale(ledger: Ledger, record: SealedRecord, limit: datetime) -> bool:
    try:
        state = ledger.opened(record)
    except RecordUnreadable as error:
        logger.error("purge reason=unreadable %s", error, extra=fields("unreadable", error.registration_id))
        return False
    registration = state.registration
    ended = registration.expires_at or registration.created_at
    return not state.completed and not state.erased and ended < limit
