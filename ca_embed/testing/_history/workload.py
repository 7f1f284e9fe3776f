"""What each process of a history does: it uses a few records that others use as well, again and again."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Final

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import DueCursor, SealedRecord, Storage
from ca_embed.testing._history.recording import RecordedStorage
from ca_embed.testing._storage_processes import OpenStorage

GENERATION_FILE: Final = "generation"
STOP: Final = -1
_RECORDS = 6  # of a generation
_THREADS = 2
_PAUSE_AFTER_ERROR = (0.05, 0.15)  # seconds
_PAGE = 100
_SPAN = 1000.0  # between the due times of two generations


class Generation:
    """Which records are in use now. The process that supervises the others decides it, in a file."""

    def __init__(self, folder: Path) -> None:
        """Open the file, which exists."""
        self._file = os.open(folder / GENERATION_FILE, os.O_RDONLY)

    def now(self) -> int:
        """Return the number of the generation, or STOP."""
        return int.from_bytes(os.pread(self._file, 8, 0), "big", signed=True)


def set_generation(folder: Path, number: int) -> None:
    """Let all processes go on to the next records, or stop."""
    file = os.open(folder / GENERATION_FILE, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(file, number.to_bytes(8, "big", signed=True), 0)
    os.close(file)


def work(open_storage: OpenStorage, folder: Path, seed: int, process: str) -> None:
    """Use the storage in several threads until the generation is STOP, or the parent process has ended."""
    parent = os.getppid()
    storage = RecordedStorage(open_storage(), folder / f"{process}.jsonl")
    generation = Generation(folder)
    workers = [Worker(storage, generation.now, f"{process}.{thread}", seed) for thread in range(_THREADS)]
    threads = [Thread(target=worker.work, args=(parent,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with suppress(StorageUnavailable):
        storage.close()


class Worker:
    """One thread. It remembers the versions that it has seen, and so also makes calls that must fail."""

    def __init__(self, storage: Storage, generation: Callable[[], int], name: str, seed: int) -> None:
        """Take what to use, which records to use, and a name that no other thread has."""
        self._storage = storage
        self._generation = generation
        self._name = name
        self._chance = random.Random(f"{seed} {name}")  # noqa: S311 (calls, not secrets)
        self._numbers = count(1)
        self._seen: dict[str, int] = {}

    def work(self, parent: int | None) -> None:
        """Make calls until the generation is STOP, or the parent process has ended."""
        acts = (self._change, self._change_blindly, self._load, self._delete, self._delete_blindly)
        pages = (self._due, self._of_user, self._all)
        weights = (40, 12, 12, 9, 4, 10, 7, 6)
        while (generation := self._generation()) != STOP and parent in (None, os.getppid()):
            (act,) = self._chance.choices([*acts, *pages], weights)
            try:
                act(generation)
            except Exception:  # noqa: BLE001 (the history has it, and the check judges it)
                time.sleep(self._chance.uniform(*_PAUSE_AFTER_ERROR))

    def _record(self, generation: int, registration_id: str, version: int) -> SealedRecord:
        """Return a record that no other call saves. Its document differs in all its parts from others."""
        label = f"{self._name}.{next(self._numbers)} "
        document = label.encode() * self._chance.choice((1, 4, 40, 300))
        user_id = self._chance.choice((None, *_users(generation)))
        due_at = self._chance.choice((None, generation * _SPAN + self._chance.randrange(12)))
        return SealedRecord(registration_id, version, user_id, due_at, document)

    def _pick(self, generation: int) -> str:
        return f"r{generation:06}-{min(self._chance.randrange(_RECORDS) for _ in range(2))}"

    def _load(self, generation: int) -> tuple[str, int]:
        registration_id = self._pick(generation)
        found = self._storage.load(registration_id)
        self._seen = {registration_id: found.version if found else 0}
        return registration_id, self._seen[registration_id]

    def _change(self, generation: int) -> None:
        registration_id, version = self._load(generation)
        if self._storage.save(self._record(generation, registration_id, version + 1)):
            self._seen[registration_id] = version + 1

    def _change_blindly(self, generation: int) -> None:
        registration_id = self._pick(generation)
        version = self._seen.get(registration_id, 0) + self._chance.choice((-1, 0, 1, 1))
        self._storage.save(self._record(generation, registration_id, max(1, version)))

    def _delete(self, generation: int) -> None:
        registration_id, version = self._load(generation)
        if version:
            self._storage.delete(registration_id, version)

    def _delete_blindly(self, generation: int) -> None:
        registration_id = self._pick(generation)
        self._storage.delete(registration_id, max(1, self._seen.get(registration_id, 1) - 1))

    def _due(self, generation: int) -> None:
        first = generation * _SPAN
        after = self._chance.choice(
            (DueCursor(first - 1, ""), DueCursor(first + self._chance.randrange(12), self._pick(generation)))
        )
        self._storage.due(first + self._chance.randrange(14), limit=self._limit(), after=after)

    def _of_user(self, generation: int) -> None:
        user_id = self._chance.choice(_users(generation))
        self._storage.list(user_id=user_id, limit=self._limit(), after=self._after(generation))

    def _all(self, generation: int) -> None:
        self._storage.list(limit=self._limit(), after=self._after(generation) or f"r{generation:06}")

    def _after(self, generation: int) -> str | None:
        return self._chance.choice((None, self._pick(generation)))

    def _limit(self) -> int:
        return self._chance.choice((1, 3, _RECORDS, 20))


def _users(generation: int) -> tuple[str, str]:
    return f"u{generation:06}-a", f"u{generation:06}-b"


def read_all(storage: Storage) -> None:
    """Read all that is stored, in each way. Stop at a page that does not go on; the check says why."""
    ids: list[str] = []
    users: set[str] = set()
    while page := list(storage.list(limit=_PAGE, after=ids[-1] if ids else None)):
        users |= {one.user_id for one in page if one.user_id is not None}
        if ids and page[-1].registration_id <= ids[-1]:
            break
        ids += [one.registration_id for one in page]
    cursor: DueCursor | None = None
    while page := list(storage.due(1e15, limit=_PAGE, after=cursor)):
        last = DueCursor(page[-1].due_at or 0.0, page[-1].registration_id)
        if cursor is not None and last <= cursor:
            break
        cursor = last
    for user_id in sorted(users):
        storage.list(user_id=user_id, limit=_PAGE)
    for registration_id in ids:
        storage.load(registration_id)
