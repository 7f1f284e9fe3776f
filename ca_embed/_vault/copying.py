"""Copies a storage to another one, while applications use either of them.

How it works
------------
A document is sealed with a random nonce. So two records with the same document are the same record, and
an application that writes a record always writes another document. For each record that `copy` writes, it
keeps a note in the target: the digest of the document. If the target's document still has this digest,
only `copy` has written it, and it may follow the source: it is replaced, or removed. If it has another
digest, the target's own application has written it, and it is left. If a note has no record, the target's
own application has removed the record, and it is not copied again. Once the target's own application has
written or removed anything, `copy` removes nothing there.

Every write compares the version (see `Storage`), so that a write of an application in between wins.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby

from ca_embed._events import EVENT_IDS, is_event_record
from ca_embed._log import fields
from ca_embed._vault.canary import copy_canary
from ca_embed._vault.keyring import key_id_of
from ca_embed._vault.ledger import is_sealed_record
from ca_embed.storage._base import SealedRecord, Storage

logger = logging.getLogger("ca_embed")

_PAGE = 100
_CHECKS = 3  # passes after the first one, to see whether both are equal
_NOTE = "~copied:"  # no registration id has a "~", and all of them sort before it
_SOURCE, _TARGET, _NOTES = range(3)

Progress = Callable[[int], None]
"""Gets the number of registrations that have been compared so far."""


@dataclass(slots=True)
class Copied:
    """What a copy did, in numbers of records.

    written: are new in the target.
    replaced: had changed in the source since they were copied.
    removed: were copied before, and are no longer in the source.
    present: were in the target already.
    differing: were changed or removed in the target by its own application, and were not touched. The log
        names them.
    only_in_target: are in the target, and not in the source. They were not touched.
    unreadable: are not records of ca_embed, and were not copied. The log names them.
    equal: whether a whole pass found nothing to change. If nothing writes to the source, it stays so.
    """

    written: int = 0
    replaced: int = 0
    removed: int = 0
    present: int = 0
    differing: int = 0
    only_in_target: int = 0
    unreadable: int = 0
    equal: bool = field(default=False, compare=False)

    @property
    def changed(self) -> int:
        """How many records of the target were changed."""
        return self.written + self.replaced + self.removed

    @property
    def apart(self) -> int:
        """How many records differ and stay so."""
        return self.differing + self.only_in_target + self.unreadable


def copy(source: Storage, target: Storage, *, progress: Progress | None = None) -> Copied:
    """Copy all sealed records to another storage, and read each back to see that it arrived.

    Run it again to carry over what has changed in the source since. Both storages may be in use. What the
    target's own application has written is not changed. Records stay sealed, so the same encryption keys
    open them there. Raises StorageUnavailable.
    """
    copy_canary(source, target)
    did = last = _pass(source, target, progress)
    for _ in range(_CHECKS):
        if last.apart:
            break
        last = _pass(source, target, None)
        did.written += last.written
        did.replaced += last.replaced
        did.removed += last.removed
        did.differing += last.differing
        did.only_in_target += last.only_in_target
        did.unreadable += last.unreadable
        if not last.changed and not last.apart:
            did.equal = True
            break
    return did


def _pass(source: Storage, target: Storage, progress: Progress | None) -> Copied:
    did, seen = Copied(), 0
    gone: list[SealedRecord] = []  # copied before, and no longer in the source
    for registration_id, here, there, note in _side_by_side(source, target):
        if here is not None:
            _follow(target, here, there, note, did)
            seen += 1
            if progress:
                progress(seen)
        elif there is None:
            _drop_note(target, registration_id)
        elif _is_noted(there, note):
            gone.append(there)
        else:
            _leave(there, note, did)
    if did.apart or not seen:  # the target is in use already, or this is the wrong source
        did.only_in_target += len(gone)
    else:
        for there in gone:
            _follow_removal(source, target, there, did)
    return did


def _follow(
    target: Storage, here: SealedRecord, there: SealedRecord | None, note: SealedRecord | None, did: Copied
) -> None:
    """Bring a record of the source to the target, unless the target's own application has touched it."""
    if key_id_of(here.document) is None:
        extra = fields("unreadable", here.registration_id)
        logger.error("copy reason=unreadable record %r", here.registration_id, extra=extra)
        did.unreadable += 1
    elif there is not None and there.document == here.document:
        _take_note(target, here, note)
        did.present += 1
    elif there is None and note is None:
        target.save(_at_version(here, 1))
        did.written += _arrived(target, here, None, did)
    elif there is not None and _is_noted(there, note):
        _take_note(target, here, note, there)  # first, so that an interruption leaves no record without one
        target.save(_at_version(here, there.version + 1))
        did.replaced += _arrived(target, here, note, did)
    else:
        _differs(here.registration_id, did)


def _follow_removal(source: Storage, target: Storage, there: SealedRecord, did: Copied) -> None:
    """Remove from the target what the source no longer has, unless it has changed just now."""
    registration_id = there.registration_id
    if source.load(registration_id) is None and target.delete(registration_id, there.version):
        _drop_note(target, registration_id)
        did.removed += 1


def _leave(there: SealedRecord, note: SealedRecord | None, did: Copied) -> None:
    """Count a record that the target's own application has written, and that the source does not have."""
    if note is None:
        did.only_in_target += 1
    else:
        _differs(there.registration_id, did)


def _arrived(target: Storage, here: SealedRecord, note: SealedRecord | None, did: Copied) -> bool:
    arrived = target.load(here.registration_id)
    if arrived is None or arrived.document != here.document:
        _differs(here.registration_id, did)
        return False
    if note is None:
        _take_note(target, here, None)
    return True


def _differs(registration_id: str, did: Copied) -> None:
    extra = fields("differing", registration_id)
    logger.warning("copy reason=differing record %r", registration_id, extra=extra)
    did.differing += 1


# --- notes -----------------------------------------------------------------------------------------


def _digest(record: SealedRecord) -> bytes:
    return hashlib.sha256(record.document).digest()


def _is_noted(there: SealedRecord, note: SealedRecord | None) -> bool:
    size = hashlib.sha256().digest_size
    noted = b"" if note is None else note.document
    return _digest(there) in {noted[at : at + size] for at in range(0, len(noted), size)}


def _take_note(
    target: Storage, here: SealedRecord, note: SealedRecord | None, there: SealedRecord | None = None
) -> None:
    """Note that `copy` wrote this record, or that it is about to replace `there` by it."""
    if there is None and note is not None and _is_noted(here, note):
        return
    digests = _digest(here) + (b"" if there is None else _digest(there))
    version = 1 if note is None else note.version + 1
    target.save(SealedRecord(_NOTE + here.registration_id, version, None, None, digests))


def _drop_note(target: Storage, registration_id: str) -> None:
    note = target.load(_NOTE + registration_id)
    if note is not None:
        target.delete(note.registration_id, note.version)


# --- reading both ----------------------------------------------------------------------------------

_Row = tuple[str, SealedRecord | None, SealedRecord | None, SealedRecord | None]


def _side_by_side(source: Storage, target: Storage) -> Iterator[_Row]:
    """Yield for each registration id, in order: the record in the source, in the target, and its note."""
    streams = (
        ((record.registration_id, _SOURCE, record) for record in _registrations(source)),
        ((record.registration_id, _TARGET, record) for record in _registrations(target)),
        ((record.registration_id.removeprefix(_NOTE), _NOTES, record) for record in _notes(target)),
    )
    rows = merge(*streams, key=lambda row: row[:2])
    for registration_id, group in groupby(rows, key=lambda row: row[0]):
        found = {place: record for _, place, record in group}
        yield registration_id, found.get(_SOURCE), found.get(_TARGET), found.get(_NOTES)


def _registrations(storage: Storage) -> Iterator[SealedRecord]:
    after: str | None = None
    while page := storage.list(limit=_PAGE, after=after):
        yield from (record for record in page if _is_copied(record.registration_id))
        after = page[-1].registration_id
        if after >= "~":
            after = max(after, EVENT_IDS)  # passes over the notes
            if not is_event_record(after):
                return


def _is_copied(stored_id: str) -> bool:
    """Tell whether this is the id of a registration, or of a namespace's registration, event or canary."""
    namespace, _, own_id = stored_id.rpartition(":")
    if not namespace:
        return is_sealed_record(own_id)
    return not namespace.startswith("~") and (is_sealed_record(own_id) or own_id == "~canary")


def _notes(storage: Storage) -> Iterator[SealedRecord]:
    after = _NOTE
    while page := storage.list(limit=_PAGE, after=after):
        for record in page:
            if not record.registration_id.startswith(_NOTE):
                return
            yield record
        after = page[-1].registration_id


def _at_version(record: SealedRecord, version: int) -> SealedRecord:
    return SealedRecord(record.registration_id, version, record.user_id, record.due_at, record.document)
