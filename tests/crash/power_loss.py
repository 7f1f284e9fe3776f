"""Cuts the power at any moment, on paper: what was acknowledged is on the disk, whatever else is lost.

A process saves and deletes records under strace. For each moment of its log, `ForgetfulDisk` says what a
power cut may leave; a storage is opened there, and must have what was acknowledged until then.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import FilesystemStorage, SealedRecord, SQLiteStorage, Storage
from tests.crash import traced
from tests.crash.disk import TRACED, ForgetfulDisk, State, events, put_down

STORAGES: dict[str, Callable[[Path], Storage]] = {
    "SQLite": lambda folder: SQLiteStorage(folder / "r.db"),
    "files": lambda folder: FilesystemStorage(folder / "r"),
}
# The disks that are left are made by the thousand, and no one cuts their power.
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
_PARTS = 2  # random parts of what is pending, at each moment


@dataclass(slots=True)
class Figures:
    """What was tried, and what was wrong."""

    moments: int
    disks: int
    problems: list[str]


def cut_everywhere(
    storage: str, place: Path, *, records: int, threads: int = 2, only_after_answers: bool = False
) -> Figures:
    """Save records, and look at what is left of the disk after each system call."""
    folder = place / "disk"
    folder.mkdir(mode=0o700)
    log = place / "strace.log"
    work = partial(_work, partial(STORAGES[storage], folder), records, threads)
    ended = traced.run(work, "-o", str(log), "-xx", "-s", "3000000", "-e", f"trace={TRACED}")
    assert ended.reported[-1:] == ["end"], ended
    figures = Figures(0, 0, [])
    looked_at: set[int] = set()
    for moment, disk, promises in _moments(log, folder, only_after_answers=only_after_answers):
        figures.moments += 1
        for state in _possible(disk, moment):
            key = hash((frozenset(state.items()), promises.key()))
            if key not in looked_at:
                looked_at.add(key)
                figures.disks += 1
                figures.problems += _look(STORAGES[storage], state, folder, place / "left", promises)
    return figures


class _Promises:
    """For each record, the versions that may be stored: the acknowledged one, and one under way. 0: none."""

    def __init__(self) -> None:
        self._acknowledged: dict[str, int] = {}
        self._tried: dict[str, int] = {}

    def hear(self, word: str) -> bool:
        """Hear what the process reports. Return whether it was an acknowledgement."""
        what, registration_id, version = word.split()
        (self._tried if what == "try" else self._acknowledged)[registration_id] = int(version)
        return what == "done"

    def wrong_with(self, registration_id: str, stored: SealedRecord | None) -> str | None:
        acknowledged = self._acknowledged.get(registration_id, 0)
        allowed = {acknowledged, self._tried.get(registration_id, 0)}
        if (stored.version if stored else 0) not in allowed:
            found = f"version {stored.version}" if stored else "nothing"
            return f"{registration_id}: version {acknowledged} was acknowledged, and {found} is left"
        if stored is not None and stored != _record(registration_id, stored.version):
            return f"{registration_id}: the record is torn"
        return None

    def ids(self) -> list[str]:
        return sorted(self._tried)

    def key(self) -> tuple[object, ...]:
        return tuple(self._acknowledged.items()), tuple(self._tried.items())


def _work(
    open_storage: Callable[[], Storage],
    records: int,
    threads: int,
    report: Callable[[str], None],
    wait: Callable[[], None],
) -> None:
    wait()
    storage = open_storage()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda thread: _use(storage, f"r{thread}", records, report), range(threads)))
    storage.close()
    report("end")


def _use(storage: Storage, name: str, records: int, report: Callable[[str], None]) -> None:
    for number in range(records):
        registration_id = f"{name}-{number}"
        for version in range(1, 2 + number % 3):
            report(f"try {registration_id} {version}")
            assert storage.save(_record(registration_id, version))
            report(f"done {registration_id} {version}")
        if number % 4 == 3:
            report(f"try {registration_id} 0")
            assert storage.delete(registration_id, 1 + number % 3)
            report(f"done {registration_id} 0")


def _record(registration_id: str, version: int) -> SealedRecord:
    document = f"{registration_id} {version} ".encode() * (40 if version % 2 else 400)
    return SealedRecord(registration_id, version, "ann", float(version) if version % 2 else None, document)


def _moments(
    log: Path, folder: Path, *, only_after_answers: bool
) -> Iterator[tuple[int, ForgetfulDisk, _Promises]]:
    """Yield each moment: after an acknowledgement, and unless restricted, after each call on the disk."""
    disk, promises = ForgetfulDisk(folder), _Promises()
    for number, event in enumerate(events(log)):
        text = event.texts[0] if event.name == "write" else b""
        if text == b"end\n":
            return
        if text.startswith((b"try ", b"done ")):
            if promises.hear(text.decode()):
                yield number, disk, promises
        elif disk.happen(event) and not only_after_answers:
            yield number, disk, promises


def _possible(disk: ForgetfulDisk, moment: int) -> Iterator[State]:
    yield disk.left(data=False, names=False)
    yield disk.left(data=False, names=True)
    yield disk.left(data=True, names=False)
    for part in range(_PARTS):
        yield disk.left(data=False, names=False, chance=random.Random(f"{moment} {part}"))


def _look(
    open_storage: Callable[[Path], Storage], state: State, folder: Path, left: Path, promises: _Promises
) -> list[str]:
    left.mkdir(mode=0o700)
    try:
        put_down(state, folder, left)
        storage = open_storage(left)
        try:
            return list(_problems(storage, promises))
        except StorageUnavailable as error:
            return [f"the storage cannot be used: {error}"]
        finally:
            storage.close()
    finally:
        shutil.rmtree(left)


def _problems(storage: Storage, promises: _Promises) -> Iterator[str]:
    found = {name: stored for name in promises.ids() if (stored := storage.load(name))}
    for name in promises.ids():
        if problem := promises.wrong_with(name, found.get(name)):
            yield problem
    if [one.registration_id for one in storage.list(limit=1000)] != sorted(found):
        yield "the list has other records than those that are stored"
    due = {one.registration_id for one in storage.due(1e9, limit=1000)}
    if due != {name for name, one in found.items() if one.due_at is not None}:
        yield "other records are due than those that are stored"
    if not storage.save(SealedRecord("afterwards", 1, None, None, b"")):
        yield "nothing can be saved afterwards"


def cut_everywhere_in_memory(storage: str, **more: Any) -> Figures:
    """Save records in a temporary folder in memory, which is fast, and look at each moment."""
    with TemporaryDirectory(prefix="ca_embed-power-", dir=IN_MEMORY) as place:
        return cut_everywhere(storage, Path(place), **more)
