"""Maintenance of what is stored: rotate keys, erase users, remove what expired, copy to another storage.

Each function works record by record through the storage's compare-and-swap. So it may run while the
application runs, and after an interruption the next run does the rest.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ca_embed._registration import State
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
    """What a rotation did, in records.

    resealed: now under the first key (with `dry_run`: would be). current: were already.
    unreadable: cannot be opened, and were left as they are; the log names them.
    """

    resealed: int = 0
    current: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class Copied:
    """What a copy did, in records.

    written: new in the target. present: were there already. differing: the target has another one,
    which was left. unreadable: not records of ca_embed, or broken; the log names them.
    """

    written: int = 0
    present: int = 0
    differing: int = 0
    unreadable: int = 0


def rotate_keys(ledger: Ledger, *, dry_run: bool = False, progress: Progress | None = None) -> Rotation:
    """Seal every record under the first key that is not yet. Raises StorageUnavailable."""
    did, first_key_id = Rotation(), ledger.key_ids[0]
    for seen, record in enumerate(ledger.records(), start=1):
        if key_id_of(record.document) == first_key_id:
            did.current += 1
        else:
            _reseal(ledger, record, did, dry_run=dry_run)
        if progress:
            progress(seen)
    return did


def _reseal(ledger: Ledger, record: SealedRecord, did: Rotation, *, dry_run: bool) -> None:
    try:
        if dry_run:
            ledger.opened(record)
        else:
            ledger.reseal(record)
        did.resealed += 1
    except RecordUnreadable as error:
        logger.error("rotate-keys reason=unreadable %s", error)
        did.unreadable += 1


def key_usage(ledger: Ledger) -> Counter[str]:
    """Count the records under each key id; what ca_embed did not seal counts under "foreign"."""
    return Counter(key_id_of(record.document) or "foreign" for record in ledger.records())


def forget(ledger: Ledger, user_id: str) -> int:
    """Remove all registrations of a user, credentials and all, and return how many there were."""
    ids = [record.registration_id for record in ledger.records(user_id)]
    return _remove(ledger, ids)


def purge_expired(ledger: Ledger, *, older_than: timedelta, now: float, dry_run: bool = False) -> int:
    """Remove sessions that expired that long ago without a completion, and return how many."""
    try:
        limit = datetime.fromtimestamp(now, UTC) - older_than
    except OverflowError:  # before all time
        return 0
    ids = [state.registration.registration_id for state in ledger.states() if _is_stale(state, limit)]
    return len(ids) if dry_run else _remove(ledger, ids)


def copy(source: Storage, target: Storage, *, progress: Progress | None = None) -> Copied:
    """Copy all sealed records to another storage; read each back to see that it arrived.

    What the target has already is left alone. Records stay sealed, so the same encryption keys open
    them there. Raises StorageUnavailable.
    """
    did = Copied()
    copy_canary(source, target)
    for seen, record in enumerate(registrations_in(source), start=1):
        _copy(record, target, did)
        if progress:
            progress(seen)
    return did


def _copy(record: SealedRecord, target: Storage, did: Copied) -> None:
    if key_id_of(record.document) is None:
        logger.error("copy reason=unreadable record %r", record.registration_id)
        did.unreadable += 1
        return
    before = target.load(record.registration_id)
    if before is None:
        target.save(_first_version(record))
    arrived = target.load(record.registration_id)
    if arrived is None or arrived.document != record.document:
        logger.warning("copy reason=differing record %r", record.registration_id)
        did.differing += 1
    elif before is None:
        did.written += 1
    else:
        did.present += 1


def _first_version(record: SealedRecord) -> SealedRecord:
    return SealedRecord(record.registration_id, 1, record.user_id, record.due_at, record.document)


def _is_stale(state: State, limit: datetime) -> bool:
    registration = state.registration
    ended = registration.expires_at or registration.created_at
    return not state.completed and ended < limit


def _remove(ledger: Ledger, registration_ids: Iterable[str]) -> int:
    return sum(ledger.delete(registration_id) for registration_id in registration_ids)
