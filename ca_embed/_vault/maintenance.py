"""Maintenance of a storage: rotate keys, erase users, remove expired sessions.

Each function goes record by record and uses the storage's compare-and-swap. So it may run while the
application runs. After an interruption, run it again: it continues with what is left.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ca_embed._registration import State
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
        logger.error("rotate-keys reason=unreadable %s", error)
        counts.unreadable += 1


def key_usage(ledger: Ledger) -> Counter[str]:
    """Count the records under each key id. Records that ca_embed did not seal count under "foreign"."""
    return Counter(key_id_of(record.document) or "foreign" for record in ledger.records())


def forget(ledger: Ledger, user_id: str) -> int:
    """Remove all registrations of a user, with their credentials. Return how many."""
    ids = [record.registration_id for record in ledger.records(user_id)]
    return _remove(ledger, ids)


def purge_expired(ledger: Ledger, *, older_than: timedelta, now: float, dry_run: bool = False) -> int:
    """Remove sessions that expired so long ago without a completion. Return how many.

    now: in Unix seconds. dry_run: only count them.
    """
    try:
        limit = datetime.fromtimestamp(now, UTC) - older_than
    except OverflowError:  # older than any time that a datetime can hold
        return 0
    ids = [state.registration.registration_id for state in ledger.states() if _is_stale(state, limit)]
    return len(ids) if dry_run else _remove(ledger, ids)


def _is_stale(state: State, limit: datetime) -> bool:
    registration = state.registration
    ended = registration.expires_at or registration.created_at
    return not state.completed and ended < limit


def _remove(ledger: Ledger, registration_ids: Iterable[str]) -> int:
    return sum(ledger.delete(registration_id) for registration_id in registration_ids)
