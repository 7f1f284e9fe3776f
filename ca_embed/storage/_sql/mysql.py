"""MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Insert, Table, and_, insert, or_, text
from sqlalchemy.exc import DBAPIError

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._base import DueCursor
from ca_embed.storage._sql.server import LOCK_WAIT, Server

_BEGIN = text("""
    SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout, @@innodb_flush_log_at_trx_commit, @@log_bin,
           @@sync_binlog
""")
_READ_COMMITTED = text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")  # the next one only
_SET_WAITS = text("SET SESSION lock_wait_timeout = :any, innodb_lock_wait_timeout = :row")
_LOCK = text("SELECT GET_LOCK(:name, :seconds)")
_UNLOCK = text("SELECT RELEASE_LOCK(:name)")
_DUPLICATE = 1062


class MySQL(Server):
    """MySQL and MariaDB: names as bytes, settings of the session that are put back afterwards."""

    missing_table = frozenset({1146})
    conflicts = frozenset({1213})
    remedies: ClassVar = {
        1021: "its disk is full: make room",
        1040: "it has no connection left: raise max_connections, or make the pools smaller",
        1044: "the user may not use the database: grant it, or correct the storage's URL",
        1045: "it refused the user or the password: correct the storage's URL",
        1049: "the database does not exist: create it, or correct the storage's URL",
        1114: "the table is full: make room on its disk",
        1142: "the user lacks a right: grant SELECT, INSERT, UPDATE and DELETE on the table",
        1153: "a record exceeds max_allowed_packet: raise it",
        1205: "the table or a row was locked all the time: see SHOW PROCESSLIST for who holds the lock",
        1290: "it is read-only: connect to the primary server",
        1792: "it is read-only: connect to the primary server",
        1836: "it is read-only: connect to the primary server",
    }

    @contextmanager
    def transaction(self, connection: Connection) -> Generator[None]:
        """See `Server.transaction`."""
        any_wait, row_wait, *durability = connection.execute(_BEGIN).one()
        _require_durability(*durability)
        connection.execute(_SET_WAITS, {"any": LOCK_WAIT, "row": LOCK_WAIT})
        try:
            connection.commit()  # a transaction may have begun, and its level is set before the next
            connection.execute(_READ_COMMITTED)
            yield
            connection.commit()
        finally:
            _put_back(connection, {"any": any_wait, "row": row_wait})

    def insert(self, table: Table) -> Insert:
        """See `Server.insert`. INSERT IGNORE would overlook other errors, too."""
        return insert(table)

    def is_duplicate(self, error: DBAPIError) -> bool:
        """See `Server.is_duplicate`. The table has one unique key."""
        return self.code(error) == _DUPLICATE

    def after(self, table: Table, cursor: DueCursor) -> ColumnElement[bool]:
        """See `Server.after`. Comparing rows would not use the index."""
        due_at, registration_id = table.c.due_at, table.c.registration_id
        same_time = and_(due_at == cursor.due_at, registration_id > self.to_name(cursor.registration_id))
        return or_(due_at > cursor.due_at, same_time)

    @contextmanager
    def lock_for_creation(self, connection: Connection, name: str) -> Generator[None]:
        """See `Server.lock_for_creation`. DDL commits, so the lock is the connection's."""
        connection.execute(_LOCK, {"name": name, "seconds": LOCK_WAIT})
        try:
            yield
        finally:
            connection.execute(_UNLOCK, {"name": name})

    def code(self, error: DBAPIError) -> int | None:
        """Return the error number, the first argument of what the driver raises."""
        arguments = getattr(error.orig, "args", ())
        return arguments[0] if arguments and isinstance(arguments[0], int) else None

    def to_name(self, name: str) -> bytes:
        """Names are kept as bytes."""
        return name.encode()

    def from_name(self, name: Any) -> str:
        """Names are kept as bytes."""
        return bytes(name).decode()


def _require_durability(flush: int, binary_log: int, sync_binary_log: int) -> None:
    """With the binary log on, recovery undoes what that log has not, so it must be flushed as well."""
    if flush not in (1, 3):  # 3 is MariaDB's own and flushes twice
        raise StorageUnavailable(
            "the MySQL server may forget what it stored: set innodb_flush_log_at_trx_commit = 1"
        )
    if binary_log and sync_binary_log != 1:
        raise StorageUnavailable("the MySQL server may forget what it stored: set sync_binlog = 1")


def _put_back(connection: Connection, waits: dict[str, int]) -> None:
    """Leave the session as it was; if that fails, leave the connection."""
    if connection.invalidated:  # and so closed already
        return
    try:
        connection.rollback()
        connection.execute(_SET_WAITS, waits)
        connection.rollback()
    except DBAPIError:
        connection.invalidate()
