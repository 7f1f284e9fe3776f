"""The storage protocol: keep sealed records, and write a record only if its version is the expected one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A registration as a storage keeps it: a sealed document, and the columns for searching.

    registration_id: the id of the registration.
    version: the number of times the record has been written. The first version is 1.
    user_id: the id of the user in the host application, or None if it is not known.
    due_at: its place in the order in which ca_embed looks at records again; None if it need not.
        It is made of Unix seconds, and may be negative. A storage only sorts by it.
    document: encrypted bytes. A storage keeps them unchanged.
    """

    registration_id: str
    version: int
    user_id: str | None
    due_at: float | None
    document: bytes


class DueCursor(NamedTuple):
    """Where a batch of `due` ended. Pass it to `due` as `after` to get the next batch.

    due_at: the `due_at` of the last record in the batch.
    registration_id: the id of the last record in the batch.
    """

    due_at: float
    registration_id: str


@runtime_checkable
class Storage(Protocol):
    """The five methods and `close` that a storage needs.

    A storage keeps opaque records and never sees a secret: `document` is encrypted before `save` gets it.
    Each method keeps these rules. The suites in `ca_embed.testing` test them.

    - `save` and `delete` are atomic across threads and processes. When they return True, the change is
      on stable storage.
    - Each failure (locked, unreachable, full, read-only, corrupt) raises `StorageUnavailable` within
      5 seconds. A failure never looks like "not found".
    - For a record that cannot be read, `load`, `save` and `delete` raise `RecordUnreadable`. The batches of
      `due` and `list` contain it with version 0 and an empty document, beside the other records.
    - `registration_id` and `user_id` are any text of 1 to 255 characters without NUL and lone surrogates.
      Never use one as a file path.
    - The cost of `due` and `list` depends on the length of the batch, not on the number of records.
    - Any thread may call any method, before and after a fork, and again after `close`.
    """

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record with this id, or None if there is none."""
        ...

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`, and return True.

        Version 1 is stored if there is no record with this id. In all other cases return False and
        change nothing.
        """
        ...

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if the stored version is `version`, and return True; else return False."""
        ...

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by` that come after the cursor.

        They are sorted by `due_at`, then by id.
        """
        ...

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records, sorted by id in code point order, that come after the id `after`.

        With `user_id`, return only the records of this user.
        """
        ...

    def close(self) -> None:
        """Release connections and files. The next call of any method opens them again."""


@runtime_checkable
class AsyncStorage(Protocol):
    """A `Storage` whose methods are coroutine functions, for asynchronous drivers. The rules are the same."""

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
