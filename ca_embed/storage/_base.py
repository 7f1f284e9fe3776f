"""What a storage must be able to do: keep opaque records, and compare before it swaps.

A storage never sees a secret: `document` is sealed before it gets here. Everything about
exactly-once, order, handlers and leases is decided above; a backend only has to keep its word on
five methods:

    load    one record, or None
    save    if, and only if, the stored version is still the one before this record's
    delete  if, and only if, the stored version is still this one
    due     what somebody must look at again by a given time, earliest first, page by page
    list    all records, or one user's, by registration id, page by page

Rules for authors, all of them held by the suite in `ca_embed.testing`:

- `save` and `delete` are atomic over threads and processes, and durable when they return True.
- Whatever goes wrong (locked, unreachable, full, read-only, corrupt) raises `StorageUnavailable`,
  within 5 seconds. Trouble is never reported as "not found".
- A record that cannot be read raises `RecordUnreadable` from `load`, `save` and `delete`; the pages of
  `due` and `list` give it with version 0 and an empty document, so that the others are unharmed.
- `registration_id` and `user_id` are any text of 1 to 255 characters, without NUL and lone surrogates;
  neither may become a file path.
- `due` and `list` cost in proportion to the page, not to all that is stored.
- Any method may be called from any thread, before and after a fork, and again after `close`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A registration as a storage keeps it: a sealed document and the columns one searches by.

    version: counts the writes, beginning with 1.
    user_id: the host's own user id; None where nobody knows it.
    due_at: when somebody must look at the record again, in Unix seconds; None when nobody must.
    document: sealed bytes; a storage keeps them and nothing else.
    """

    registration_id: str
    version: int
    user_id: str | None
    due_at: float | None
    document: bytes


class DueCursor(NamedTuple):
    """Where a page of `due` ended: pass it on to get the next page."""

    due_at: float
    registration_id: str


@runtime_checkable
class Storage(Protocol):
    """A place for sealed records. See this module's rules."""

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        ...

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`; version 1 needs an empty place.

        Returns False, and changes nothing, if another version is stored.
        """
        ...

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        ...

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by`, by (due_at, id), after the cursor."""
        ...

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id (code point order), after that id.

        With `user_id`, only that user's.
        """
        ...

    def close(self) -> None:
        """Release connections and files. The next call opens them again."""


@runtime_checkable
class AsyncStorage(Protocol):
    """The same contract for authors whose driver is asynchronous; each method is a coroutine function."""

    async def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        ...

    async def save(self, record: SealedRecord) -> bool:
        """See `Storage.save`."""
        ...

    async def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage.delete`."""
        ...

    async def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage.due`."""
        ...

    async def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage.list`."""
        ...

    async def close(self) -> None:
        """See `Storage.close`."""
