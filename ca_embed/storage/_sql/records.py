"""The operations of a storage on one connection. The synchronous and the asynchronous storage share them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Delete, Insert, Row, Select, Update, delete, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._existing import NO_STORAGE
from ca_embed.storage._sql.server import Server

if TYPE_CHECKING:
    from sqlalchemy import Table

_RETRY_TIME = 1.5  # seconds during which a transaction is repeated after a conflict with another one

_T = TypeVar("_T")
Work = Callable[[Connection], _T]


class SQLRecords:
    """Keeps records in one table.

    Each method runs one transaction on the given connection. The connection can be used again afterwards.
    """

    def __init__(self, table: Table, server: Server, *, create_table: bool) -> None:
        """With `create_table`, the table is created when a statement fails because it does not exist."""
        self.table = table
        self.server = server
        self._creates = create_table
        self._may_create = True

    def load(self, connection: Connection, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        query = select(self.table).where(self._is(registration_id))
        records = self._read(connection, query)
        return records[0] if records else None

    def save(self, connection: Connection, record: SealedRecord) -> bool:
        """See `Storage.save`."""
        if record.version == 1:
            return self._run(connection, lambda connection: self._insert(connection, record))
        statement = (
            update(self.table)
            .where(self._is(record.registration_id), self.table.c.version == record.version - 1)
            .values(self._to_row(record))
        )
        return self._write(connection, statement)

    def delete(self, connection: Connection, registration_id: str, version: int) -> bool:
        """See `Storage.delete`."""
        condition = (self._is(registration_id), self.table.c.version == version)
        return self._write(connection, delete(self.table).where(*condition))

    def due(
        self, connection: Connection, by: float, *, limit: int, after: DueCursor | None
    ) -> Sequence[SealedRecord]:
        """See `Storage.due`."""
        columns = self.table.c
        query = select(self.table).where(columns.due_at <= by)
        if after:
            query = query.where(self.server.after(self.table, after))
        return self._read(connection, query.order_by(columns.due_at, columns.registration_id).limit(limit))

    def list(
        self, connection: Connection, *, user_id: str | None, limit: int, after: str | None
    ) -> Sequence[SealedRecord]:
        """See `Storage.list`."""
        columns = self.table.c
        query = select(self.table).order_by(columns.registration_id).limit(limit)
        if user_id is not None:
            query = query.where(columns.user_id == self.server.to_name(user_id))
        if after is not None:
            query = query.where(columns.registration_id > self.server.to_name(after))
        return self._read(connection, query)

    def create_table(self, connection: Connection) -> None:
        """Create the table and its indexes if they are missing. Several processes may call this at once."""
        with self.server.lock_for_creation(connection, self.table.name):
            self.table.create(connection, checkfirst=True)
            for index in self.table.indexes:
                index.create(connection, checkfirst=True)
            connection.commit()

    def _read(self, connection: Connection, query: Select[Any]) -> Sequence[SealedRecord]:
        rows = self._run(connection, lambda connection: connection.execute(query).all())
        return [self._from_row(row) for row in rows]

    def _write(self, connection: Connection, statement: Update | Delete) -> bool:
        return self._run(connection, lambda connection: _changes_one(connection, statement))

    def _insert(self, connection: Connection, record: SealedRecord) -> bool:
        try:
            return _changes_one(connection, self.server.insert(self.table).values(self._to_row(record)))
        except IntegrityError as error:
            if self.server.is_duplicate(error):
                return False
            raise

    def _run(self, connection: Connection, work: Work[_T]) -> _T:
        """Do the work in a transaction, and return its result.

        It is repeated if the server rolled it back because of a conflict, if the table was missing and has
        been created, or if the connection turned out to be closed before the transaction began.
        """
        give_up, reconnected = time.monotonic() + _RETRY_TIME, False
        while True:
            begun = False
            try:
                with self.server.transaction(connection):
                    begun = True
                    return work(connection)
            except DBAPIError as error:
                connection.rollback()
                if time.monotonic() > give_up:
                    raise
                stale = error.connection_invalidated and not begun and not reconnected
                if not stale and not self._can_retry(connection, error):
                    raise
                reconnected = reconnected or stale

    def _can_retry(self, connection: Connection, error: DBAPIError) -> bool:
        """Return True if the next attempt may succeed. Create the table if it is missing."""
        code = self.server.code(error)
        if code not in self.server.missing_table:
            return code in self.server.conflicts
        if self._creates and not self._may_create:
            raise StorageUnavailable(NO_STORAGE) from error
        if not self._creates:
            raise StorageUnavailable(
                f"the table {self.table.fullname} does not exist: call the storage's create_table() once, or "
                "have your migrations create it (docs/storage.md)"
            ) from error
        self.create_table(connection)
        return True

    def create_nothing(self) -> None:
        """Create no table from now on."""
        self._may_create = False

    def _is(self, registration_id: str) -> Any:
        return self.table.c.registration_id == self.server.to_name(registration_id)

    def _to_row(self, record: SealedRecord) -> dict[str, Any]:
        to_name = self.server.to_name
        return {
            "registration_id": to_name(record.registration_id),
            "version": record.version,
            "user_id": None if record.user_id is None else to_name(record.user_id),
            "due_at": record.due_at,
            "document": record.document,
        }

    def _from_row(self, row: Row[Any]) -> SealedRecord:
        from_name = self.server.from_name
        user_id = None if row.user_id is None else from_name(row.user_id)
        return SealedRecord(
            from_name(row.registration_id), row.version, user_id, row.due_at, bytes(row.document)
        )


def _changes_one(connection: Connection, statement: Insert | Update | Delete) -> bool:
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1
