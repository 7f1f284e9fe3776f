"""Runs processes that use one storage, lets faults happen to them, and checks their history."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import Storage
from ca_embed.testing._history.check import HistoryReport, check_history
from ca_embed.testing._history.nursery import Nursery, end, is_alive
from ca_embed.testing._history.recording import HistoryFile, RecordedStorage
from ca_embed.testing._history.workload import STOP, read_all, set_generation, work
from ca_embed.testing._storage_processes import OpenStorage

_CALLS_OF_A_GENERATION = 250
_CALLS_OF_A_FAULT = 700  # a fault each so many calls, and each fault at least once
_START, _STALL = 60.0, 60.0  # seconds to start, and without any call, after which a run gives up
_FINAL_READS = 30.0  # seconds for a storage to come back after the last fault


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of a storage that happens while processes use it.

    name: for messages.
    block: returns a context manager. Inside its block the failure lasts.
    undoes: whether writes that were not acknowledged may be undone by it, although a read may have shown
        them: by a failover to a standby, for example. What was acknowledged must never be undone.
    """

    name: str
    block: Callable[[], AbstractContextManager[object]]
    undoes: bool = False


def record_history(
    open_storage: OpenStorage,
    folder: str | os.PathLike[str],
    *,
    calls: int,
    processes: int = 3,
    faults: Sequence[Fault] = (),
    seed: int | None = None,
) -> HistoryReport:
    """Let several processes use a storage while faults happen, and check what it returned to them.

    open_storage: opens the storage, which is empty. It is sent to other processes, so it must be picklable.
    folder: an empty folder. The history stays there, one file for each process.
    calls: how many calls of the storage to make, in total.
    processes: how many processes at a time. Some are killed (SIGKILL) and replaced, others stopped for a
        moment (SIGSTOP).
    faults: what else happens meanwhile.
    seed: decides what the processes call, and which faults happen when.

    Raises TimeoutError if the processes get nothing done.
    """
    chance = random.Random(seed)  # noqa: S311 (faults, not secrets)
    run = _Run(open_storage, Path(folder), processes, chance)
    with run:
        run.until(calls, faults)
    run.read_what_is_left()
    return check_history(folder)


class _Run:
    def __init__(
        self, open_storage: OpenStorage, folder: Path, processes: int, chance: random.Random
    ) -> None:
        self._open_storage = open_storage
        self._folder = folder
        self._count = processes
        self._chance = chance
        self._seed = chance.randrange(2**32)
        self._names = (f"p{number:03}" for number in count(1))
        self._running: dict[str, int] = {}  # process ids
        self._nursery = Nursery(partial(work, open_storage, folder, self._seed))
        self._log = HistoryFile(folder / "faults.jsonl")
        self._reads: dict[Path, _Lines] = {}

    def __enter__(self) -> None:
        set_generation(self._folder, 1)
        for _ in range(self._count):
            self._start()

    def __exit__(self, *_: object) -> None:
        set_generation(self._folder, STOP)
        for pid in self._running.values():
            end(pid, 10)
        self._nursery.close()
        self._log.close()

    def until(self, calls: int, faults: Sequence[Fault]) -> None:
        """Let the processes make so many calls, and let faults happen at even distances."""
        acts: list[Callable[[], None]] = [self._kill, self._stop]
        acts += [partial(self._let, fault) for fault in faults]
        repeats = max(1, round(calls / _CALLS_OF_A_FAULT / len(acts)))
        order = [act for _ in range(repeats) for act in self._chance.sample(acts, len(acts))]
        self._wait_for(1, _START)
        for number, act in enumerate(order, start=1):
            self._wait_for(calls * number // (len(order) + 1), _STALL)
            act()
        self._wait_for(calls, _STALL)

    def read_what_is_left(self) -> None:
        """Read all that is stored at the end. A server may still be on its way back."""
        storage = RecordedStorage(self._open_storage(), self._folder / "final.jsonl")
        give_up = time.monotonic() + _FINAL_READS
        try:
            while not _read(storage):
                if time.monotonic() > give_up:
                    raise TimeoutError(f"the storage cannot be read {_FINAL_READS:g} s after the last fault")
                time.sleep(0.1)
        finally:
            storage.close()

    def _wait_for(self, calls: int, patience: float) -> None:
        give_up = time.monotonic() + patience
        made = before = self._made()
        while made < calls:
            set_generation(self._folder, 1 + made // _CALLS_OF_A_GENERATION)
            time.sleep(0.01)
            made = self._made()
            if made > before:
                before, give_up = made, time.monotonic() + _STALL
            elif time.monotonic() > give_up:
                raise TimeoutError(f"the processes made no call within {patience:g} s")
            self._replace_ended()

    def _made(self) -> int:
        for file in self._folder.glob("p*.jsonl"):
            self._reads.setdefault(file, _Lines(file))
        return sum(lines.count() for lines in self._reads.values()) // 2

    def _start(self) -> None:
        name = next(self._names)
        self._running[name] = self._nursery.start(name)

    def _replace_ended(self) -> None:
        """Replace processes that ended by themselves: a fault may have hit them."""
        for name, pid in list(self._running.items()):
            if not is_alive(pid):
                del self._running[name]
                self._start()

    def _kill(self) -> None:
        name, pid = self._any()
        end(pid)
        del self._running[name]
        self._start()

    def _stop(self) -> None:
        _, pid = self._any()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.05, 0.4))
        os.kill(pid, signal.SIGCONT)

    def _let(self, fault: Fault) -> None:
        began = time.monotonic()
        with fault.block():
            time.sleep(self._chance.uniform(0.05, 0.4))
        if fault.undoes:
            self._log.write({"undo": [began, time.monotonic()]})

    def _any(self) -> tuple[str, int]:
        """Choose one that is at work already."""
        started = [name for name in self._running if (self._folder / f"{name}.jsonl").exists()]
        name = self._chance.choice(started or list(self._running))
        return name, self._running[name]


class _Lines:
    """Counts the lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = self._lines = 0

    def count(self) -> int:
        with self._path.open("rb") as file:
            file.seek(self._at)
            new = file.read()
        self._at += len(new)
        self._lines += new.count(b"\n")
        return self._lines


def _read(storage: Storage) -> bool:
    """Read all. Return whether the storage has answered; another error is for the check to judge."""
    try:
        read_all(storage)
    except StorageUnavailable:
        return False
    except Exception:  # noqa: BLE001 (the history has it)
        return True
    return True
