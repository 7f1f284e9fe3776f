"""Every order of the storage calls of a few workers, over the real code.

Workers are tasks that give way before each storage call (and in each handler). At each such point any of
them may go on: that is a tree of orders, and `explore` walks all of it. A state that was seen before is not
walked again: the same records, and the same calls with the same results for each worker, lead to the same
future. The number of orders counts those as well.

An order is made again from the beginning, for a Python function cannot be copied in the middle.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from ca_embed.storage import DueCursor, MemoryStorage, SealedRecord
from tests.simulation.tasks import Scheduler, Task, scheduling

Change = Callable[[object, SealedRecord | None, SealedRecord | None], None]


class Records:
    """The records of one run, in memory."""

    def __init__(self, wrote: Change) -> None:
        self.memory = MemoryStorage()
        self.wrote = wrote

    def content(self) -> bytes:
        """Return a digest of all records."""
        digest, after = hashlib.sha256(), None
        while page := self.memory.list(limit=100, after=after):
            digest.update(repr(page).encode())
            after = page[-1].registration_id
        return digest.digest()


class SteppedStorage:
    """The storage as one worker has it: it gives way before each call, and remembers what it has seen."""

    def __init__(self, records: Records, scheduler: Scheduler, owner: object) -> None:
        self._records, self._scheduler, self._owner = records, scheduler, owner

    def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage`."""
        return self._call(f"load {registration_id}", lambda: self._records.memory.load(registration_id))

    def save(self, record: SealedRecord) -> bool:
        """See `Storage`."""
        label = f"save {record.registration_id} v{record.version}"
        return self._call(
            label, lambda: self._write(record.registration_id, lambda: self._records.memory.save(record))
        )

    def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage`."""
        return self._call(
            f"delete {registration_id} v{version}",
            lambda: self._write(
                registration_id, lambda: self._records.memory.delete(registration_id, version)
            ),
        )

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage`."""
        return self._call("due", lambda: self._records.memory.due(by, limit=limit, after=after))

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage`."""
        return self._call(
            "list", lambda: self._records.memory.list(user_id=user_id, limit=limit, after=after)
        )

    def close(self) -> None:
        """See `Storage`."""

    def _call(self, label: str, call: Callable[[], Any]) -> Any:
        self._scheduler.pause(label)
        result = call()
        task = self._scheduler.current
        if task is not None:
            remember(task, label, result)
        return result

    def _write(self, registration_id: str, change: Callable[[], bool]) -> bool:
        before = self._records.memory.load(registration_id)
        won = change()
        if won:
            self._records.wrote(self._owner, before, self._records.memory.load(registration_id))
        return won


def remember(task: Task, label: str, result: object) -> None:
    """Add what a task has seen to its history, which with the records is all that its future depends on."""
    before = getattr(task, "history", b"")
    task.history = hashlib.sha256(before + f"{label}={result!r}".encode()).digest()  # type: ignore[attr-defined]


class Scene(Protocol):
    """What a run begins with, and what must hold when it has ended."""

    scheduler: Scheduler
    records: Records

    def begin(self) -> None:
        """Store what is there before, and start a task for each worker."""

    def check(self) -> None:
        """Raise AssertionError if a promise is broken."""


@dataclass
class Explored:
    """How much was checked.

    orders: the orders of calls. states: the different states in them. runs: how often the code ran.
    """

    orders: int = 0
    states: int = 0
    runs: int = 0


@dataclass
class _Live:
    scene: Scene
    path: tuple[int, ...]
    taken: list[str] = field(default_factory=list)


def explore(make: Callable[[Scheduler], Scene], *, most_states: int = 2_000_000) -> Explored:
    """Walk all orders. Raise AssertionError, with the order, for the first that breaks a promise.

    make: builds the scene of a run. It must build the same one each time.
    """
    return _Explorer(make, most_states).explore()


class _Explorer:
    def __init__(self, make: Callable[[Scheduler], Scene], most_states: int) -> None:
        self._make, self._most_states = make, most_states
        self._orders: dict[bytes, int] = {}  # by state: how many orders lead on from it
        self._runs = 0
        self._running = ExitStack()

    def explore(self) -> Explored:
        recursion = sys.getrecursionlimit()
        sys.setrecursionlimit(10_000)
        try:
            orders = self._walk(self._start(()))
        finally:
            self._running.close()
            sys.setrecursionlimit(recursion)
        return Explored(orders, len(self._orders), self._runs)

    def _start(self, path: tuple[int, ...]) -> _Live:
        """Begin a new run, and go along a path."""
        self._running.close()
        self._runs += 1
        scene = self._make(Scheduler(lambda tasks: tasks[0], sleeps=False))
        self._running.enter_context(scheduling(scene.scheduler))
        scene.begin()
        live = _Live(scene, ())
        for choice in path:
            _take(live, choice)
        return live

    def _walk(self, live: _Live) -> int:
        """Return how many orders lead on from here. The run that is given is used up."""
        key = _key(live.scene)
        if key not in self._orders:
            if len(self._orders) > self._most_states:
                raise AssertionError(f"more than {self._most_states} states")
            self._orders[key] = self._walk_on(live)
        return self._orders[key]

    def _walk_on(self, live: _Live) -> int:
        count, path, total = len(_options(live.scene)), live.path, 0
        if not count:
            _check(live)
            return 1
        for choice in range(count):
            one = live if choice == 0 else self._start(path)
            _take(one, choice)
            total += self._walk(one)
        return total


def _options(scene: Scene) -> list[Task]:
    return scene.scheduler.runnable()


def _take(live: _Live, choice: int) -> None:
    task = _options(live.scene)[choice]
    live.path += (choice,)
    live.taken.append(f"{task.name}: {task.label}")
    live.scene.scheduler.resume(task)


def _key(scene: Scene) -> bytes:
    digest = hashlib.sha256(scene.records.content())
    digest.update(repr(scene.scheduler.now).encode())
    for task in scene.scheduler.tasks:
        digest.update(f"{task.name} {task.label} ".encode() + getattr(task, "history", b""))
    digest.update(repr(getattr(scene, "seen", "")).encode())
    return digest.digest()


def _check(live: _Live) -> None:
    try:
        live.scene.check()
    except AssertionError as error:
        order = "\n    ".join(live.taken)
        raise AssertionError(f"{error}\nin this order:\n    {order}") from None
