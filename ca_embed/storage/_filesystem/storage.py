"""Keeps records as files, which many threads and processes of one machine may share. POSIX only.

Theory of operation
-------------------
    format          says which release laid out the folder; written last
    records/3f9/    one checked file a record, named by the SHA-256 of its id
    index/          the sorted keys of all records: by id, by user, by the time that they are due
    locks/          one for each 64th of the records

Whoever changes a record holds its lock, adds the record's new keys to the index, replaces its file,
and takes the old keys out. So the file decides, and a crash leaves at most a key too many, never one
too few. `load` takes the lock as well: a file can be seen before its folder is flushed, and who decides
on a record must not decide on one that a power cut could undo. `due` and `list` take none; they look
at the record behind each key, pass over a key that does not fit, and take it out.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from ca_embed.errors import RecordUnreadable, StorageUnavailable
from ca_embed.storage import _index_keys as index_keys
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._filesystem import checked_files, record_files
from ca_embed.storage._filesystem.file_lock import FileLock
from ca_embed.storage._filesystem.layout import FilesystemLayout, explained
from ca_embed.storage._forks import ForkGate

WAIT = 4.0  # seconds for the locks of others
LOCKS = 64

_NEXT = "\0"  # behind a key, makes the key that follows it immediately


class FilesystemStorage:
    """Keeps records as files in one folder of a local POSIX file system.

    The folder is created, for its owner alone, at the first use, or may be there and empty; the one
    it stands in must exist. What is saved has been flushed to the disk, with the folder's entry.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Name the folder; a relative path counts from the folder that is the current one now."""
        self._layout = FilesystemLayout(Path(folder).absolute())
        self._index = self._layout.index
        self._locks = [FileLock(self._layout.locks / f"{number:02}") for number in range(LOCKS)]
        self._gate = ForkGate()

    @property
    def path(self) -> Path:
        """Where the folder is."""
        return self._layout.folder

    def __repr__(self) -> str:
        return f"FilesystemStorage({str(self.path)!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none. What it returns is on the disk."""
        with self._operation() as deadline, self._lock_of(registration_id).held(deadline):
            return self._read(registration_id)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        with self._operation() as deadline, self._lock_of(record.registration_id).held(deadline):
            stored = self._read(record.registration_id)
            if record.version != (stored.version if stored else 0) + 1:
                return False
            old: set[str] = index_keys.keys_of(stored) if stored else set()
            new = index_keys.keys_of(record)
            for key in new - old:
                self._index.add(key, deadline)
            self._write(record)
            self._forget(old - new, deadline)
            return True

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        with self._operation() as deadline, self._lock_of(registration_id).held(deadline):
            stored = self._read(registration_id)
            if stored is None or stored.version != version:
                return False
            checked_files.remove(self._path_of(registration_id))
            self._forget(index_keys.keys_of(stored), deadline)
            return True

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by then, earliest first, after the cursor."""
        start = (
            index_keys.due_prefix(after.due_at) + after.registration_id + _NEXT if after else index_keys.DUE
        )
        last = index_keys.due_prefix(by)
        with self._operation() as deadline:
            keys = takewhile(lambda key: key[: len(last)] <= last, self._index.ascending(start))
            return self._page(keys, len(last), limit, deadline)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id, after that id; of one user, if one is named."""
        prefix = index_keys.ALL if user_id is None else index_keys.user_prefix(user_id)
        start = prefix if after is None else prefix + after + _NEXT
        with self._operation() as deadline:
            keys = takewhile(lambda key: key.startswith(prefix), self._index.ascending(start))
            return self._page(keys, len(prefix), limit, deadline)

    def close(self) -> None:
        """No file is open between two calls. The next call looks at the folder anew."""
        self._layout.look_anew()

    def rebuild_index(self) -> None:
        """Make the index anew from the records. It takes a while, in which nobody else can write."""
        with self._operation() as deadline, ExitStack() as locks:
            for lock in self._locks:
                locks.enter_context(lock.held(deadline))
            files = [path for path in self._layout.records.glob("*/*") if not path.suffix]
            keys = (key for path in files for key in index_keys.keys_of(record_files.read(path)))
            self._index.fill(keys, deadline)

    @contextmanager
    def _operation(self) -> Generator[float]:
        """Give the time until which locks are waited for; see to the folder, to forks and to errors."""
        deadline = time.monotonic() + WAIT
        with self._gate.passing(), explained(self._layout.folder):
            self._layout.prepare(deadline)
            yield deadline

    def _page(self, keys: Iterable[str], prefix: int, limit: int, deadline: float) -> Sequence[SealedRecord]:
        """Return the first records that the keys, less a prefix of that length, are the ids of."""
        page: list[SealedRecord] = []
        for key in keys:
            record = self._behind(key, key[prefix:])
            if record is None:
                self._heal(key, key[prefix:], deadline)
                continue
            page.append(record)
            if len(page) == limit:
                break
        return page

    def _behind(self, key: str, registration_id: str) -> SealedRecord | None:
        """Return the record if it has the key. One that cannot be read is handed on empty, as version 0."""
        try:
            record = self._read(registration_id)
        except RecordUnreadable:
            due_at = index_keys.due_at_of(key) if key.startswith(index_keys.DUE) else None
            return SealedRecord(registration_id, 0, None, due_at, b"")
        return record if record and key in index_keys.keys_of(record) else None

    def _heal(self, key: str, registration_id: str, deadline: float) -> None:
        """Take a key out that a crash has left, unless it is there for a record about to be written."""
        with suppress(StorageUnavailable, OSError), self._lock_of(registration_id).held(time.monotonic()):
            if self._behind(key, registration_id) is None:
                self._index.discard(key, deadline)

    def _forget(self, keys: set[str], deadline: float) -> None:
        """Take out what no longer holds. The change itself is done: failing here leaves keys to be healed."""
        with suppress(StorageUnavailable, OSError):
            for key in keys:
                self._index.discard(key, deadline)

    def _read(self, registration_id: str) -> SealedRecord | None:
        path = self._path_of(registration_id)
        try:
            record = record_files.read(path)
        except FileNotFoundError:
            self._layout.require_presence()
            return None
        except checked_files.DamagedFile as error:
            raise RecordUnreadable(str(error), registration_id=registration_id) from None
        if record.registration_id != registration_id:
            raise RecordUnreadable(f"{path} holds the record of another", registration_id=registration_id)
        return record

    def _write(self, record: SealedRecord) -> None:
        path = self._path_of(record.registration_id)
        checked_files.make_folder(path.parent)
        record_files.write(path, record)

    def _path_of(self, registration_id: str) -> Path:
        digest = hashlib.sha256(registration_id.encode()).hexdigest()
        return self._layout.records / digest[:3] / digest

    def _lock_of(self, registration_id: str) -> FileLock:
        digest = hashlib.sha256(registration_id.encode()).digest()
        return self._locks[digest[-1] % LOCKS]
