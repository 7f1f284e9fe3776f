"""Keeps records in files. Threads and processes of one machine may share them. POSIX only.

How it works
------------
    format          the version of this layout; it is written last
    records/3f9/    a checked file for each record; its name is the SHA-256 digest of the id
    index/          the sorted keys of all records: by id, by user, by due time
    locks/          64 lock files; each record uses one of them

To change a record, a writer takes its lock, adds the new keys of the record to the index, replaces the
file, and removes the old keys. The file decides what is stored. A crash can leave a stale key, but never
loses a key that is needed. `load` takes the lock as well: a new file can be read before its folder is
flushed, and a power cut could still undo it. `due` and `list` take no lock. They read the record for each
key, and skip and remove a key that the record does not have.
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
from ca_embed.storage._filesystem.layout import FilesystemLayout, translate_errors
from ca_embed.storage._forks import ForkGate

_LOCK_WAIT = 4.0  # seconds to wait for a lock
_LOCK_COUNT = 64

_NEXT = "\0"  # appended to a key, gives the smallest key that is greater (no id contains NUL)


class FilesystemStorage:
    """Keeps records as files in one folder of a local POSIX file system.

    folder: it is created with mode 0700 at the first use, or it exists and is empty. Its parent folder
        must exist. It is refused if other users may write to it, or could replace it.

    A saved record has been flushed to the disk, together with its folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Keep the path. A relative path is relative to the folder that is current now."""
        self._layout = FilesystemLayout(Path(folder).absolute())
        self._index = self._layout.index
        self._locks = [FileLock(self._layout.locks / f"{number:02}") for number in range(_LOCK_COUNT)]
        self._gate = ForkGate()

    @property
    def path(self) -> Path:
        """The absolute path of the folder."""
        return self._layout.folder

    def __repr__(self) -> str:
        return f"FilesystemStorage({str(self.path)!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record with this id, or None if there is none. The returned record is on the disk."""
        with self._operation() as deadline, self._lock_of(registration_id).held(deadline):
            return self._read(registration_id)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`; else return False."""
        with self._operation() as deadline, self._lock_of(record.registration_id).held(deadline):
            stored = self._read(record.registration_id)
            if record.version != (stored.version if stored else 0) + 1:
                return False
            old: set[str] = index_keys.keys_of(stored) if stored else set()
            new = index_keys.keys_of(record)
            for key in new - old:
                self._index.add(key, deadline)
            self._write(record)
            self._discard_keys(old - new, deadline)
            self._layout.require_presence()  # a record in a replaced folder must not be acknowledged
            return True

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if the stored version is `version`; else return False."""
        with self._operation() as deadline, self._lock_of(registration_id).held(deadline):
            stored = self._read(registration_id)
            if stored is None or stored.version != version:
                return False
            checked_files.remove(self._path_of(registration_id))
            self._discard_keys(index_keys.keys_of(stored), deadline)
            self._layout.require_presence()
            return True

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by`, earliest first, after the cursor."""
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
        """Return at most `limit` records in the order of their ids, after the id `after`.

        With `user_id`, return only the records of this user.
        """
        prefix = index_keys.ALL if user_id is None else index_keys.user_prefix(user_id)
        start = prefix if after is None else prefix + after + _NEXT
        with self._operation() as deadline:
            keys = takewhile(lambda key: key.startswith(prefix), self._index.ascending(start))
            return self._page(keys, len(prefix), limit, deadline)

    def close(self) -> None:
        """Let the next call check the folder again. No file is open between two calls."""
        self._layout.recheck()

    def _create_nothing(self) -> None:
        self._layout.creates = False

    def rebuild_index(self) -> None:
        """Build the index again from the record files. Meanwhile no other call can load or write a record.

        It takes about 0.1 ms a record. Call it when an error says so. Raises StorageUnavailable.
        """
        with self._operation() as deadline, ExitStack() as locks:
            for lock in self._locks:
                locks.enter_context(lock.held(deadline))
            files = [path for path in self._layout.records.glob("*/*") if not path.suffix]
            keys = (key for path in files for key in index_keys.keys_of(record_files.read(path)))
            self._index.fill(keys, deadline)
        self._layout.recheck()  # the folder of the index may be a new one

    @contextmanager
    def _operation(self) -> Generator[float]:
        """Run an operation in the block: prepare the folder, delay forks, translate errors.

        Yields the deadline for taking locks, as a time of `time.monotonic()`.
        """
        deadline = time.monotonic() + _LOCK_WAIT
        with self._gate.passing(), translate_errors(self._layout.folder):
            self._layout.prepare(deadline)
            yield deadline

    def _page(self, keys: Iterable[str], prefix: int, limit: int, deadline: float) -> Sequence[SealedRecord]:
        """Return the first `limit` records for the keys. Each key is a prefix of this length and an id."""
        page: list[SealedRecord] = []
        for key in keys:
            record = self._record_for_key(key, key[prefix:])
            if record is None:
                self._remove_stale_key(key, key[prefix:], deadline)
                continue
            page.append(record)
            if len(page) == limit:
                break
        return page

    def _record_for_key(self, key: str, registration_id: str) -> SealedRecord | None:
        """Return the record if it has this key, else None. If unreadable, return it with version 0."""
        try:
            record = self._read(registration_id)
        except RecordUnreadable:
            due_at = index_keys.due_at_of(key) if key.startswith(index_keys.DUE) else None
            return SealedRecord(registration_id, 0, None, due_at, b"")
        return record if record and key in index_keys.keys_of(record) else None

    def _remove_stale_key(self, key: str, registration_id: str, deadline: float) -> None:
        """Remove a key that a crash has left. Keep it if a writer holds the record or has just written it."""
        with suppress(StorageUnavailable, OSError), self._lock_of(registration_id).held(time.monotonic()):
            if self._record_for_key(key, registration_id) is None:
                self._index.discard(key, deadline)

    def _discard_keys(self, keys: set[str], deadline: float) -> None:
        """Remove old keys after a change. A failure is not an error: a later page removes the stale keys."""
        with suppress(StorageUnavailable, OSError):
            for key in keys:
                self._index.discard(key, deadline)

    def _read(self, registration_id: str) -> SealedRecord | None:
        path = self._path_of(registration_id)
        if path.parent.is_symlink():
            message = f"{path.parent} is a link: remove it, and restore the folder from a backup"
            raise RecordUnreadable(message, registration_id=registration_id)
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
        return self._locks[digest[-1] % _LOCK_COUNT]
