"""The ledger: registrations, sealed, in a storage that can compare and swap.

Every change of a registration goes through `change`: load the record, decide, and save it only if no one
has changed it in between. Otherwise load it again and decide anew. This is why a completion counts once.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ca_embed._events import EVENT_IDS, ids_of, is_event_record
from ca_embed._frames import clears_locals
from ca_embed._host.user_ids import is_user_id
from ca_embed._log import fields
from ca_embed._registration import HANDLER_BAND, PARKED_BAND, State, as_of, due_at
from ca_embed._vault import document
from ca_embed._vault.canary import Canary
from ca_embed._vault.handler_names import HandlerNames
from ca_embed._vault.keyring import Keyring
from ca_embed._vault.lease import Lease
from ca_embed._vault.owner import Identity, Owner
from ca_embed._vault.session_limit import SessionLimit
from ca_embed._webhook import is_registration_id
from ca_embed.errors import (
    EmbedError,
    ForeignFormat,
    RecordUnreadable,
    StorageContention,
    StorageUnavailable,
    Tampered,
)
from ca_embed.storage._base import DueCursor, SealedRecord, Storage
from ca_embed.storage._existing import create_nothing
from ca_embed.storage._namespace import NamespacedStorage

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("ca_embed")

_P = ParamSpec("_P")
_T = TypeVar("_T")
_PAGE = 100
_GIVE_UP_AFTER = 5.0  # seconds in which others changed the record at every attempt to save it
_FIELD = "document"
_PROBE = "~probe"  # no registration id has a "~"


class Ledger:
    """Stores states by registration id, sealed under the keyring."""

    def __init__(
        self,
        storage: Storage,
        keyring: Keyring,
        clock: Callable[[], float] = time.time,
        *,
        namespace: str | None = None,
        identity: Identity | None = None,
    ) -> None:
        """Take the storage, the keyring whose first key seals, and a clock that returns Unix seconds.

        namespace: the part of the storage to use; None: what is in no namespace.
        identity: the application; None for tools that need not be one.
        """
        part = storage if namespace is None else NamespacedStorage(storage, namespace)
        self._storage = _StorageErrors(part)
        # A record that was moved to another namespace must not open there.
        self._field = _FIELD if namespace is None else f"{_FIELD} of {namespace}"
        self._owner = None if identity is None else Owner(self._storage, identity)
        self.path: Path | None = getattr(storage, "path", None)  # of the storage's files, if it has some
        self._keyring = keyring
        self._clock = clock
        self._canary = Canary(self._storage.load, self._storage.save, keyring)
        self._proven = _Proven()
        self.lease = Lease(self._load_note, self._save_note, clock)
        self.handler_names = HandlerNames(self._load_note, self._save_note, clock)

    def load(self, registration_id: str) -> State | None:
        """Return the state as of now. None if it is not stored or was erased. Raises StorageUnavailable."""
        self._before_reading()
        record = self._storage.load(registration_id)
        state = None if record is None else self.as_of_now(record)
        return None if state is None or state.erased else state

    def change(
        self,
        registration_id: str,
        decide: Callable[[State | None], tuple[_T, State | None]],
        *,
        proves: Callable[[_T], bool] = lambda _result: False,
    ) -> _T:
        """Store the state that `decide` returns, and return its result. Raises StorageUnavailable.

        decide: gets the stored state, or None, and returns a result and the next state, or None to change
            nothing. It may be called several times, so it must have no effects of its own.
        proves: tells whether the result promises that what is stored is durable, also if nothing changes.
        When this returns, the next state is durable.
        """
        self._before_writing()
        give_up = time.monotonic() + _GIVE_UP_AFTER
        while True:
            record = self._storage.load(registration_id)
            known = None if record is None else self.opened(record)
            result, following = decide(known)
            version = record.version + 1 if record else 1
            if following is not None and following != known:
                written = self._seal(following, version)
            elif record is not None and known and proves(result) and not self._proven.has(record):
                # A record that can be read may not outlast a crash: it may still be on its way to the disk
                # or to a standby. Written once more, it outlasts it.
                written = self._seal(known, version)
            else:
                return result
            if self._storage.save(written):
                self._proven.add(written)
                return result
            if time.monotonic() > give_up:
                message = f"others changed registration {registration_id!r} at every attempt to save it"
                raise StorageContention(f"{message}; try again", registration_id=registration_id)
            time.sleep(random.uniform(0, 0.01))  # noqa: S311 (so that workers do not collide again)

    def change_known(self, registration_id: str, following: Callable[[State], State]) -> None:
        """Store the state that follows the stored one; do nothing if none is stored.

        Raises StorageUnavailable. When this returns, the state is durable.
        """

        def decide(known: State | None) -> tuple[None, State | None]:
            return None, None if known is None else following(known)

        self.change(registration_id, decide)

    def due(self, by: float, after: float | None = None) -> Iterator[SealedRecord]:
        """Yield the records that are due by that time and after the other, the earliest first."""
        self._before_reading()
        cursor = None if after is None else DueCursor(after, "")
        while page := self._storage.due(by, limit=_PAGE, after=cursor):
            yield from (record for record in page if is_sealed_record(record.registration_id))
            last = page[-1]
            cursor = DueCursor(last.due_at or 0.0, last.registration_id)

    def states(self, user_id: str | None = None) -> Iterator[State]:
        """Yield all states as of now, or one user's, by registration id. Log those that cannot be opened."""
        self._before_reading()
        for record in self.records(user_id):
            try:
                state = self.as_of_now(record)
            except RecordUnreadable as error:
                extra = fields("unreadable", error.registration_id)
                logger.error("list reason=unreadable %s", error, extra=extra)
                continue
            if not state.erased:
                yield state

    def records(self, user_id: str | None = None, after: str | None = None) -> Iterator[SealedRecord]:
        """Return all sealed records, or one user's, by registration id. They begin after the id `after`.

        Whether the keys fit is not checked. Raises ForeignStorage, StorageUnavailable.
        """
        if self._owner is not None:
            self._owner.before_reading()
        return registrations_in(self._storage, user_id, after)

    def all_records(self) -> Iterator[SealedRecord]:
        """Return all sealed records, of registrations and of events, by id."""
        yield from self.records()
        yield from self._records_below(EVENT_IDS)

    def events(self, *registration_id: str | None) -> Iterator[State]:
        """Yield all events, or those of a registration. Log those that cannot be opened.

        registration_id: None stands for the events that name no registration.
        """
        self._before_reading()
        yield from self._readable(
            self._records_below(ids_of(*registration_id) if registration_id else EVENT_IDS)
        )

    def owing_events(self, registration_id: str | None) -> Iterator[State]:
        """Yield the events of a registration that owe handler runs, not parked. Some may come twice.

        They are among all its events, and among all that owes. Each may be many, so the shorter one is read.
        """
        self._before_reading()
        ids, last = ids_of(registration_id), HANDLER_BAND + PARKED_BAND - 1
        both = zip(self._records_below(ids), self.due(last, after=HANDLER_BAND), strict=False)
        of_it = (one for pair in both for one in pair if one.registration_id.startswith(ids))
        yield from self._readable(one for one in of_it if one.due_at is not None and one.due_at <= last)

    def _readable(self, records: Iterable[SealedRecord]) -> Iterator[State]:
        """Yield the states of records. Log those that cannot be opened."""
        for record in records:
            try:
                yield self.opened(record)
            except RecordUnreadable as error:
                extra = fields("unreadable", error.registration_id)
                logger.error("list reason=unreadable %s", error, extra=extra)

    def delete_events(self, registration_id: str) -> None:
        """Remove all events of a registration."""
        while records := list(self._records_below(ids_of(registration_id))):
            for record in records:
                self.delete(record)

    def _records_below(self, ids: str) -> Iterator[SealedRecord]:
        """Yield the records whose ids begin with this text."""
        after = ids
        while page := self._storage.list(limit=_PAGE, after=after):
            for record in page:
                if not record.registration_id.startswith(ids):
                    return
                yield record
            after = page[-1].registration_id

    @clears_locals
    def opened(self, record: SealedRecord) -> State:
        """Return the state that a record holds, as it was stored. Raises RecordUnreadable."""
        registration_id = record.registration_id
        plain = self._keyring.open(record.document, registration_id=registration_id, field=self._field)
        try:
            state = document.from_bytes(plain)
        except ValueError:
            message = "another release of ca_embed wrote it; run that release or a later one"
            raise ForeignFormat(message, registration_id=registration_id) from None
        if _owner(state) != record.user_id:  # the user id beside the document is not sealed
            message = "its user id was changed; restore the record from a backup"
            raise Tampered(message, registration_id=registration_id)
        return state

    def reseal(self, record: SealedRecord) -> bool:
        """Seal a record under the first key. False if another process has changed it, and so sealed it."""
        self._before_writing()
        state = self.opened(record)
        return self._storage.save(self._seal(state, version=record.version + 1))

    def is_sealed_as_today(self, record: SealedRecord) -> bool:
        """Tell whether a record is sealed under the first key, in today's form. Nothing is opened."""
        return self._keyring.seals_like(record.document)

    def delete(self, record: SealedRecord) -> bool:
        """Remove exactly this version of a registration. False if it has changed since, or is gone."""
        return self._storage.delete(record.registration_id, record.version)

    def probe(self) -> None:
        """Read from the storage and write to it. Raises StorageUnavailable if either fails."""
        self._before_reading()
        left_over = self._storage.load(_PROBE)  # of a probe that was cut off
        if left_over is not None:
            self._storage.delete(_PROBE, left_over.version)
        self._storage.save(SealedRecord(_PROBE, 1, None, None, b""))
        self._storage.delete(_PROBE, 1)

    def _before_reading(self) -> None:
        if self._owner is not None:
            self._owner.before_reading()
        self._canary.before_opening()

    def _before_writing(self) -> None:
        if self._owner is not None:
            self._owner.before_writing()
        self._canary.before_sealing()

    def _load_note(self, record_id: str) -> SealedRecord | None:
        """Load a record of ours that is not a registration."""
        self._before_reading()
        return self._storage.load(record_id)

    def _save_note(self, record: SealedRecord) -> bool:
        """Save a record of ours that is not a registration."""
        self._before_writing()
        return self._storage.save(record)

    def create_nothing(self) -> None:
        """Let the storage create no file, folder or table. If there is none, each call says so."""
        create_nothing(self._storage.inner)

    def session_limit(self, limit: tuple[int, float] | None) -> SessionLimit:
        """Return what counts the sessions that each user opens, in the same storage."""
        return SessionLimit(
            self._load_note, self._save_note, self._storage.delete, limit=limit, clock=self._clock
        )

    def close(self) -> None:
        """Close the storage. The next use opens it again."""
        self._storage.close()

    def now(self) -> float:
        """Return the time by this process's clock, in Unix seconds."""
        return self._clock()

    @property
    def canary(self) -> Canary:
        """The record that shows whether the keys fit."""
        return self._canary

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all encryption keys. The first is the key that seals."""
        return self._keyring.key_ids

    def as_of_now(self, record: SealedRecord) -> State:
        """Return the state of a record. An open session whose time is over counts as expired."""
        return as_of(self.opened(record), self._clock())

    @clears_locals
    def _seal(self, state: State, version: int) -> SealedRecord:
        registration = state.registration
        registration_id = registration.registration_id
        plain = document.to_bytes(state)
        sealed = self._keyring.seal(plain, registration_id=registration_id, field=self._field)
        return SealedRecord(registration_id, version, _owner(state), due_at(state), sealed)


def is_sealed_record(record_id: str) -> bool:
    """Tell whether this is the id of a record that holds a state: of a registration or of an event."""
    return is_registration_id(record_id) or is_event_record(record_id)


def registrations_in(
    storage: Storage, user_id: str | None = None, after: str | None = None
) -> Iterator[SealedRecord]:
    """Return the sealed registrations of a storage, or one user's, by id. They begin after the id `after`."""
    while page := storage.list(user_id=user_id, limit=_PAGE, after=after):
        yield from (record for record in page if is_registration_id(record.registration_id))
        after = page[-1].registration_id


def _owner(state: State) -> str | None:
    """Return the user id that is stored beside the document, for searching.

    A webhook may name an id that no user of a host can have. That one is not searched for.
    """
    user_id = state.registration.user_id
    return user_id if is_user_id(user_id) else None


class _Proven:
    """The records that this process knows to be durable: it has written these very bytes itself."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seals: OrderedDict[str, bytes] = OrderedDict()

    def add(self, record: SealedRecord) -> None:
        with self._lock:
            self._seals[record.registration_id] = _seal_of(record)
            self._seals.move_to_end(record.registration_id)
            if len(self._seals) > self._MOST:
                self._seals.popitem(last=False)

    def has(self, record: SealedRecord) -> bool:
        with self._lock:
            return self._seals.get(record.registration_id) == _seal_of(record)


def _seal_of(record: SealedRecord) -> bytes:
    """Return the end of the sealed document, its authentication tag: no two documents share it."""
    return record.document[-16:]


class _StorageErrors:
    """A storage that raises StorageUnavailable for every error of its driver."""

    def __init__(self, storage: Storage) -> None:
        self.inner = storage
        self.load = _with_storage_errors(storage.load)
        self.save = _with_storage_errors(storage.save)
        self.delete = _with_storage_errors(storage.delete)
        self.due = _with_storage_errors(storage.due)
        self.list = _with_storage_errors(storage.list)
        self.close = _with_storage_errors(storage.close)


def _with_storage_errors(call: Callable[_P, _T]) -> Callable[_P, _T]:
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return call(*args, **kwargs)
        except EmbedError:
            raise
        except Exception as error:
            # A driver may raise anything. None of it means "not found".
            raise StorageUnavailable(f"the storage failed: {type(error).__name__}; check it") from error

    return guarded
