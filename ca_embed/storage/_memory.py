"""Keeps records in memory."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from threading import Lock

from ca_embed.storage._base import DueCursor, SealedRecord


class MemoryStorage:
    """Keeps records in the memory of this one process. It is for tests: a restart loses all records.

    Two processes never see each other's records. A call of `due` or `list` looks at all records.
    """

    def __init__(self) -> None:
        """The storage is empty."""
        self._lock = Lock()
        self._records: dict[str, SealedRecord] = {}

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record with this id, or None if there is none."""
        with self._lock:
            return self._records.get(registration_id)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`; else return False."""
        with self._lock:
            stored = self._records.get(record.registration_id)
            if record.version != (stored.version if stored else 0) + 1:
                return False
            self._records[record.registration_id] = record
            return True

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if the stored version is `version`; else return False."""
        with self._lock:
            stored = self._records.get(registration_id)
            if stored is None or stored.version != version:
                return False
            del self._records[registration_id]
            return True

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by`, earliest first, after the cursor."""
        with self._lock:
            cursors = (
                DueCursor(record.due_at, record.registration_id)
                for record in self._records.values()
                if record.due_at is not None and record.due_at <= by
            )
            page = nsmallest(limit, (cursor for cursor in cursors if after is None or cursor > after))
            return [self._records[cursor.registration_id] for cursor in page]

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records in the order of their ids, after the id `after`.

        With `user_id`, return only the records of this user.
        """
        with self._lock:
            ids = (
                record.registration_id
                for record in self._records.values()
                if user_id in (None, record.user_id) and (after is None or record.registration_id > after)
            )
            return [self._records[registration_id] for registration_id in nsmallest(limit, ids)]

    def close(self) -> None:
        """Do nothing: no file is open, and the records stay."""
