"""A storage server in memory, and each host's connection to it: slow, cut, down, or without its standby.

A write is visible at once, and durable when the standby has it. A promotion throws away what is not durable,
as a crash of the primary does. A save returns True only when its record is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ca_embed import StorageUnavailable
from ca_embed.storage import DueCursor, MemoryStorage, SealedRecord
from tests.simulation.tasks import Crashed, Scheduler

_DEADLINE = 4.5  # seconds after which a call that cannot go on fails


class Watcher(Protocol):
    """Who sees each write of the server."""

    def disturb(self, kind: str) -> None:
        """Hear that something goes wrong."""

    def wrote(self, host: object, before: SealedRecord | None, after: SealedRecord | None) -> None:
        """See one record change."""

    def became_durable(self, record: SealedRecord) -> None:
        """See a record outlive every crash from now on."""

    def promoted(self) -> None:
        """See the durable records become the only ones."""


class Server:
    """The records, visible and durable."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.visible = MemoryStorage()
        self.durable: dict[str, SealedRecord] = {}
        self.epoch = 0  # promotions so far
        self.down = False
        self.standby = True
        self.locked: set[str] = set()
        self.slow = 0.0  # the longest seconds that a call takes
        self.faults = 0  # the calls that failed so far, but for those of locked records
        self.locked_out = 0  # the calls that met a locked record
        self._not_durable: set[str] = set()

    @property
    def troubled(self) -> bool:
        """Whether a call may fail now."""
        return self.down or not self.standby or bool(self.locked)

    def load_visible(self, registration_id: str) -> SealedRecord | None:
        """Return a record as everyone sees it."""
        return self.visible.load(registration_id)

    def write(self, host: object, registration_id: str, change: Callable[[], bool]) -> bool:
        """Make a change of one record that compares versions, and show it to the watcher."""
        before = self.visible.load(registration_id)
        if not change():
            return False
        after = self.visible.load(registration_id)
        self._not_durable.add(registration_id)
        self.watcher.wrote(host, before, after)
        return True

    def make_durable(self) -> None:
        """Bring all that is visible to the standby: a log has no gaps."""
        for registration_id in sorted(self._not_durable):
            record = self.visible.load(registration_id)
            if record is None:
                self.durable.pop(registration_id, None)
            else:
                self.durable[registration_id] = record
                self.watcher.became_durable(record)
        self._not_durable.clear()

    def promote(self) -> None:
        """Lose the primary: go on with what is durable."""
        self.epoch += 1
        self.standby = True
        self._not_durable.clear()
        self.visible = MemoryStorage()
        for record in self.durable.values():
            for version in range(1, record.version + 1):
                self.visible.save(replace(record, version=version))
        self.watcher.promoted()

    def records(self) -> list[SealedRecord]:
        """Return all that is visible, also what is no registration."""
        found: list[SealedRecord] = []
        after = None
        while page := self.visible.list(limit=100, after=after):
            found += page
            after = page[-1].registration_id
        return found


class Connection:
    """The storage as one host has it. `dead` ends every call with the end of the host."""

    def __init__(self, server: Server, host: object, scheduler: Scheduler) -> None:
        self._server, self._host, self._scheduler = server, host, scheduler
        self.dead = False
        self.cut = False
        self.cut_after: int | None = None  # calls after which one fails, though it has taken effect
        self.crash_after: int | None = None  # points after which the host crashes
        self.crash: Callable[[], None] = lambda: None

    # --- the storage protocol --------------------------------------------------------------------

    def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage`."""
        self._before(f"load {registration_id}", registration_id)
        record = self._server.visible.load(registration_id)
        self._after(f"loaded {registration_id}")
        return record

    def save(self, record: SealedRecord) -> bool:
        """See `Storage`."""
        label = f"{record.registration_id} v{record.version}"
        self._before(f"save {label}", record.registration_id)
        won = self._server.write(
            self._host, record.registration_id, lambda: self._server.visible.save(record)
        )
        return self._written(won, f"{'saved' if won else 'not saved'} {label}")

    def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage`."""
        label = f"{registration_id} v{version}"
        self._before(f"delete {label}", registration_id)
        won = self._server.write(
            self._host, registration_id, lambda: self._server.visible.delete(registration_id, version)
        )
        return self._written(won, f"{'deleted' if won else 'not deleted'} {label}")

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage`."""
        self._before("due")
        found = self._server.visible.due(by, limit=limit, after=after)
        self._after("due: " + " ".join(record.registration_id for record in found))
        return found

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage`."""
        self._before("list")
        found = self._server.visible.list(user_id=user_id, limit=limit, after=after)
        self._after("list: " + " ".join(record.registration_id for record in found))
        return found

    def close(self) -> None:
        """See `Storage`."""

    # --- points ----------------------------------------------------------------------------------

    def _before(self, label: str, registration_id: str = "") -> None:
        """Wait for the way to the server; fail there if it is not to be reached."""
        self._point(label)
        server = self._server
        unreachable = self.cut or server.down
        if unreachable or registration_id in server.locked:
            self._fails(locked=not unreachable)
            self._point(f"{label}: no answer", self._scheduler.random.uniform(0, _DEADLINE))
            raise StorageUnavailable("simulated: the storage does not answer; check it")

    def _after(self, label: str) -> None:
        """Wait for the way back."""
        self._point(label)
        if self.cut or self._is_cut_now():
            self._fails()
            raise StorageUnavailable("simulated: the connection was cut; the call may have taken effect")

    def _written(self, won: bool, label: str) -> bool:
        epoch = self._server.epoch
        self._after(label)
        if not won:
            return False
        server, scheduler = self._server, self._scheduler
        if not server.standby:
            scheduler.wait(lambda: server.standby or server.epoch != epoch or self.dead, _DEADLINE)
            self._die_if_dead()
        if server.epoch != epoch or not server.standby:
            self._fails()
            raise StorageUnavailable("simulated: not known to be durable; check the standby")
        server.make_durable()
        return True

    def _fails(self, *, locked: bool = False) -> None:
        self._server.faults += not locked
        self._server.locked_out += locked
        self._server.watcher.disturb("storage")

    def _point(self, label: str, seconds: float | None = None) -> None:
        self._die_if_dead()
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                self.crash_after = None
                self.crash()
                self._die_if_dead()
        if seconds is None:
            server = self._server
            seconds = self._scheduler.random.uniform(0, server.slow) if server.slow else 0.001
        self._scheduler.pause(label, seconds)
        self._die_if_dead()

    def _die_if_dead(self) -> None:
        if self.dead:
            raise Crashed

    def _is_cut_now(self) -> bool:
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after >= 0:
            return False
        self.cut_after = None
        return True
