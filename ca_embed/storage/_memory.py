"""Keeps records in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import islice, takewhile
from math import inf
from threading import Lock

from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._sorted_keys import SortedKeys


class MemoryStorage:
    """Keeps records in the memory of this one process. For tests: what it holds ends with the process.

    It acknowledges webhooks that a restart forgets, and two processes never see each other's records.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = Lock()
        self._records: dict[str, SealedRecord] = {}
        self._ids: SortedKeys[str] = SortedKeys()
        self._due: SortedKeys[DueCursor] = SortedKeys()
        self._users: defaultdict[str, SortedKeys[str]] = defaultdict(SortedKeys)

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        with self._lock:
            return self._records.get(registration_id)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        with self._lock:
            stored = self._records.get(record.registration_id)
            if record.version != (stored.version if stored else 0) + 1:
                return False
            if stored:
                self._take_out(stored)
            self._put_in(record)
            return True

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        with self._lock:
            stored = self._records.get(registration_id)
            if stored is None or stored.version != version:
                return False
            self._take_out(stored)
            return True

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by then, earliest first, after the cursor."""
        with self._lock:
            keys = self._due.after(after or DueCursor(-inf, ""))
            page = islice(takewhile(lambda key: key.due_at <= by, keys), limit)
            return [self._records[key.registration_id] for key in page]

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id, after that id; of one user, if one is named."""
        with self._lock:
            keys = self._ids if user_id is None else self._users.get(user_id, SortedKeys[str]())
            return [self._records[key] for key in islice(keys.after(after or ""), limit)]

    def close(self) -> None:
        """Nothing is open, and the records stay."""

    def _put_in(self, record: SealedRecord) -> None:
        self._records[record.registration_id] = record
        self._ids.add(record.registration_id)
        if record.due_at is not None:
            self._due.add(DueCursor(record.due_at, record.registration_id))
        if record.user_id is not None:
            self._users[record.user_id].add(record.registration_id)

    def _take_out(self, record: SealedRecord) -> None:
        del self._records[record.registration_id]
        self._ids.remove(record.registration_id)
        if record.due_at is not None:
            self._due.remove(DueCursor(record.due_at, record.registration_id))
        if record.user_id is not None:
            self._users[record.user_id].remove(record.registration_id)
            if not self._users[record.user_id]:
                del self._users[record.user_id]
