"""Storages with one defect each. The history checker must find every one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Lock, Thread
from typing import Any

from ca_embed.storage import DueCursor, MemoryStorage, SealedRecord, Storage
from ca_embed.storage._sqlite.storage import SQLiteStorage


class Mutant:
    """Does what the storage below it does. A subclass has the defect."""

    def __init__(self, storage: Storage) -> None:
        self.below = storage
        self._calls = 0
        self._lock = Lock()

    def sometimes(self, one_in: int = 5) -> bool:
        """Tell whether the defect shows in this call: one that always shows would be too easy to find."""
        with self._lock:
            self._calls += 1
            return self._calls % one_in == 0

    def load(self, registration_id: str) -> SealedRecord | None:
        return self.below.load(registration_id)

    def save(self, record: SealedRecord) -> bool:
        return self.below.save(record)

    def delete(self, registration_id: str, version: int) -> bool:
        return self.below.delete(registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        return self.below.due(by, limit=limit, after=after)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        return self.below.list(user_id=user_id, limit=limit, after=after)

    def close(self) -> None:
        self.below.close()

    def force(self, record: SealedRecord) -> bool:
        """Store the record, whatever is stored."""
        while stored := self.below.load(record.registration_id):
            self.below.delete(record.registration_id, stored.version)
        steps = [replace(record, version=version) for version in range(1, record.version + 1)]
        return all(self.below.save(step) for step in steps)


class SwapsWithoutComparing(Mutant):
    """Compares first, and writes later, without comparing again."""

    def save(self, record: SealedRecord) -> bool:
        stored = self.below.load(record.registration_id)
        if record.version != (stored.version if stored else 0) + 1:
            return False
        time.sleep(0.002)
        self.force(record)
        return True


class CreatesTwice(Mutant):
    """Version 1 replaces what is there."""

    def save(self, record: SealedRecord) -> bool:
        return self.force(record) if record.version == 1 else self.below.save(record)


class DeletesAnyVersion(Mutant):
    """Purge without version: deletes what is there, also if it has changed since."""

    def delete(self, registration_id: str, version: int) -> bool:
        stored = self.below.load(registration_id)
        return stored is not None and self.below.delete(registration_id, stored.version)


class LosesDeletes(Mutant):
    """Acknowledges a deletion that does not happen."""

    def delete(self, registration_id: str, version: int) -> bool:
        stored = self.below.load(registration_id)
        if stored is not None and stored.version == version and self.sometimes():
            return True
        return self.below.delete(registration_id, version)


class AcknowledgesBeforeCommit(Mutant):
    """Returns before the record is stored."""

    def save(self, record: SealedRecord) -> bool:
        stored = self.below.load(record.registration_id)
        if record.version != (stored.version if stored else 0) + 1:
            return False
        Thread(target=self._save_later, args=(record,)).start()
        return True

    def _save_later(self, record: SealedRecord) -> None:
        time.sleep(0.003)
        with suppress(Exception):
            self.below.save(record)


class ReadsFromAReplica(Mutant):
    """Some reads show what was stored a while ago."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._replica: dict[str, tuple[float, SealedRecord | None]] = {}

    def load(self, registration_id: str) -> SealedRecord | None:
        at, old = self._replica.get(registration_id, (0.0, None))
        if time.monotonic() - at < 0.05 and self.sometimes(3):
            return old
        found = self.below.load(registration_id)
        self._replica[registration_id] = time.monotonic(), found
        return found


class ForgetsWhatIsDue(Mutant):
    """The index of due records misses some updates."""

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        page = self.below.due(by, limit=limit, after=after)
        return [one for one in page if len(page) == limit or one.version % 3]


class ForgetsRecordsOfAUser(Mutant):
    """The index of users misses some updates."""

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        page = self.below.list(user_id=user_id, limit=limit, after=after)
        return [one for one in page if user_id is None or len(page) == limit or one.version % 3]


class RepeatsAcrossPages(Mutant):
    """Duplicate on a read: a page begins with the last record of the page before."""

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        page = list(self.below.list(user_id=user_id, limit=limit, after=after))
        last = None if after is None else self.below.load(after)
        return page if last is None or last.user_id != user_id else [last, *page][:limit]


class RepeatsWithinAPage(Mutant):
    """Duplicate on a read: a page has a record twice, at the old and the new place."""

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        page = list(self.below.due(by, limit=limit, after=after))
        return page if len(page) == limit or not page or not self.sometimes() else [*page, page[-1]]


class Tears(Mutant):
    """Saves the columns first and the document later."""

    def save(self, record: SealedRecord) -> bool:
        stored = self.below.load(record.registration_id)
        if not self.below.save(replace(record, document=stored.document if stored else b"")):
            return False
        time.sleep(0.001)
        return self._replace(record)

    def _replace(self, record: SealedRecord) -> bool:
        if isinstance(self.below, MemoryStorage):
            with self.below._lock:
                if self.below._records.get(record.registration_id, record).version == record.version:
                    self.below._records[record.registration_id] = record
            return True
        assert isinstance(self.below, SQLiteStorage)
        statement = "UPDATE registrations SET document = ? WHERE registration_id = ? AND version = ?"
        self.below._write(statement, record.document, record.registration_id, record.version)
        return True


class Truncates(Mutant):
    """Stores the beginning of a long document only."""

    def save(self, record: SealedRecord) -> bool:
        return self.below.save(replace(record, document=record.document[:2000]))


class RefusesWhatItHasSaved(Mutant):
    """Repeats a save whose reply was lost, and takes its own record for that of another process."""

    def save(self, record: SealedRecord) -> bool:
        saved = self.below.save(record)
        return self.below.save(record) if saved and self.sometimes() else saved


class TakesFailureForNothing(Mutant):
    """A failure looks like "not found"."""

    def load(self, registration_id: str) -> SealedRecord | None:
        return None if self.sometimes(40) else self.below.load(registration_id)


class RaisesItsOwnError(Mutant):
    """A failure raises what the driver raises."""

    def load(self, registration_id: str) -> SealedRecord | None:
        if self.sometimes(40):
            raise RuntimeError("connection lost")
        return self.below.load(registration_id)


class SortsWrongly(Mutant):
    """A page is in another order."""

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        return self.below.list(user_id=user_id, limit=limit, after=after)[::-1]


class SkipsTheNext(Mutant):
    """A page leaves out the first record after the place where it begins."""

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        page = self.below.list(user_id=user_id, limit=limit + 1, after=after)
        return page[:limit] if after is None else page[1:]


MUTANTS: Sequence[Callable[[Any], Mutant]] = (
    SwapsWithoutComparing,
    CreatesTwice,
    DeletesAnyVersion,
    LosesDeletes,
    AcknowledgesBeforeCommit,
    ReadsFromAReplica,
    ForgetsWhatIsDue,
    ForgetsRecordsOfAUser,
    RepeatsAcrossPages,
    RepeatsWithinAPage,
    Tears,
    Truncates,
    RefusesWhatItHasSaved,
    TakesFailureForNothing,
    RaisesItsOwnError,
    SortsWrongly,
    SkipsTheNext,
)
