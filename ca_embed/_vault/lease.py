"""A lease in the storage: of many processes, one at a time asks the Partner API about what is due.

It is a record like any other, but not sealed: it holds no secret, and a forged one only makes a pass wait.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from ca_embed.storage._base import SealedRecord

LEASE = 20.0  # seconds; renewed at each step, and no step takes longer
_ID = "~reconcile"  # no registration id has a "~"


@dataclass(frozen=True, slots=True)
class _Held:
    holder: str = ""
    ends: float = 0.0
    paused_until: float | None = None


class Lease:
    """This process's part in the lease."""

    def __init__(
        self,
        load: Callable[[str], SealedRecord | None],
        save: Callable[[SealedRecord], bool],
        clock: Callable[[], float],
    ) -> None:
        """Take the functions of a storage that load and save a record. `clock` returns Unix seconds."""
        self._load, self._save = load, save
        self._clock = clock
        self._holder = uuid.uuid4().hex
        self._renewed_at = 0.0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take the lease, unless another process holds it. Raises StorageUnavailable."""
        record = self._load(_ID)
        held, now = _read(record), self._clock()
        # A lease that ends later than a lease lasts was written by a clock that is ahead.
        if held.holder not in ("", self._holder) and now < held.ends <= now + LEASE + 5:
            return False
        return self._write(record, _Held(self._holder, now + LEASE, held.paused_until))

    def keep(self) -> bool:
        """Renew the lease if that is due. False if another process has taken it. Threads may share it."""
        with self._lock:
            fresh = self._renewed_at <= self._clock() < self._renewed_at + LEASE / 3
            return fresh or self.take()

    def release(self, paused_until: float | None) -> None:
        """Give the lease back. paused_until: until when no process may ask, in Unix seconds."""
        record = self._load(_ID)
        if _read(record).holder == self._holder:
            self._write(record, _Held(paused_until=paused_until))

    @property
    def paused_until(self) -> float | None:
        """Until when no process may ask; None if there is no pause. Raises StorageUnavailable."""
        return _read(self._load(_ID)).paused_until

    def _write(self, record: SealedRecord | None, held: _Held) -> bool:
        version = 1 if record is None else record.version + 1
        document = json.dumps([held.holder, held.ends, held.paused_until]).encode()
        self._renewed_at = self._clock()
        return self._save(SealedRecord(_ID, version, None, None, document))


def _read(record: SealedRecord | None) -> _Held:
    """Return what the record says. Anything else than our own form counts as a lease that is free."""
    if record is None:
        return _Held()
    try:
        holder, ends, paused_until = json.loads(record.document)
        return _Held(str(holder), float(ends), None if paused_until is None else float(paused_until))
    except (ValueError, TypeError):
        return _Held()
