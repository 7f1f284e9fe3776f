"""A part of a storage: the records of one namespace, as if there were no others.

The ids of its records begin with the namespace and a colon, which no registration id has. So two brands
share one database and never see each other's registrations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ca_embed.storage._base import DueCursor, SealedRecord, Storage
from ca_embed.storage._existing import create_nothing


class NamespacedStorage:
    """The records of one namespace of another storage."""

    def __init__(self, storage: Storage, namespace: str) -> None:
        """Take the whole storage, and the name of the part."""
        self._storage = storage
        self._prefix = f"{namespace}:"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        record = self._storage.load(self._prefix + registration_id)
        return None if record is None else self._inside(record)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        return self._storage.save(replace(record, registration_id=self._prefix + record.registration_id))

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        return self._storage.delete(self._prefix + registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by then, earliest first, after the cursor."""
        cursor = None if after is None else DueCursor(after.due_at, self._prefix + after.registration_id)
        found: list[SealedRecord] = []
        while page := self._storage.due(by, limit=limit, after=cursor):
            found += [self._inside(one) for one in page if one.registration_id.startswith(self._prefix)]
            if len(found) >= limit:
                return found[:limit]
            cursor = DueCursor(page[-1].due_at or 0.0, page[-1].registration_id)
        return found

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id, after that id; of one user, if one is named."""
        page = self._storage.list(user_id=user_id, limit=limit, after=self._prefix + (after or ""))
        return [self._inside(one) for one in page if one.registration_id.startswith(self._prefix)]

    def close(self) -> None:
        """Release connections and files. The next call opens them again."""
        self._storage.close()

    def _create_nothing(self) -> None:
        create_nothing(self._storage)

    def _inside(self, record: SealedRecord) -> SealedRecord:
        return replace(record, registration_id=record.registration_id.removeprefix(self._prefix))
