"""MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Table, and_, insert, or_, text
from sqlalchemy.exc import DBAPIError

from ca_embed.storage._base import DueCursor
from ca_embed.storage._sql import mysql_rules
from ca_embed.storage._sql.mysql_rules import LOCK_WAIT
from ca_embed.storage._sql.server import Server

_BEGIN = text(mysql_rules.BEGIN)
_READ_COMMITTED = text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")  # only for the next transaction
_SET_WAITS = text("SET SESSION lock_wait_timeout = :any, innodb_lock_wait_timeout = :row")
_LOCK = text("SELECT GET_LOCK(:name, :seconds)")
_UNLOCK = text("SELECT RELEASE_LOCK(:name)")
_DUPLICATE = 1062


class MySQL(Server):
    """MySQL or MariaDB. Ids are stored as bytes. Session settings are restored after each transaction."""

    missing_table = mysql_rules.MISSING_TABLE
    conflicts = mysql_rules.CONFLICTS
    remedies = mysql_rules.REMEDIES

    @contextmanager
    def transaction(self, connection: Connection) -> Generator[None]:
        """See `Server.transaction`."""
        any_wait, row_wait, *durability = connection.execute(_BEGIN).one()
        mysql_rules.require_durability(*durability)
        connection.execute(_SET_WAITS, {"any": LOCK_WAIT, "row": LOCK_WAIT})
        try:
            connection.commit()  # the isolation level is set for the next transaction, so end this one
            connection.execute(_READ_COMMITTED)
            yield
            connection.commit()
        finally:
            _restore(connection, {"any": any_wait, "row": row_wait})

    def insert(self, table: Table) -> Insert:
        """See `Server.insert`. INSERT IGNORE is not used, because it ignores other errors as well."""
        return insert(table)

    def is_duplicate(self, error: DBAPIError) -> bool:
        """See `Server.is_duplicate`. The table has only one unique key, so the error names this one."""
        return self.code(error) == _DUPLICATE

    def after(self, table: Table, cursor: DueCursor) -> ColumnElement[bool]:
        """See `Server.after`. MySQL uses no index for `(a, b) > (x, y)`, so the condition is spelled out."""
        due_at, registration_id = table.c.due_at, table.c.registration_id
        same_time = and_(due_at == cursor.due_at, registration_id > self.to_name(cursor.registration_id))
        return or_(due_at > cursor.due_at, same_time)

    @contextmanager
    def lock_for_creation(self, connection: Connection, name: str) -> Generator[None]:
        """See `Server.lock_for_creation`. DDL commits, so the lock belongs to the connection."""
        connection.execute(_LOCK, {"name": name, "seconds": LOCK_WAIT})
        try:
            yield
        finally:
            connection.execute(_UNLOCK, {"name": name})

    def code(self, error: DBAPIError) -> int | None:
        """Return the error number: the first argument of the error that the driver raises."""
        arguments = getattr(error.orig, "args", ())
        return arguments[0] if arguments and isinstance(arguments[0], int) else None

    def to_name(self, name: str) -> bytes:
        """Return an id as bytes, as the table stores it."""
        return name.encode()

    def from_name(self, name: Any) -> str:
        """Return an id from the bytes that the table stores."""
        return bytes(name).decode()


def _restore(connection: Connection, waits: dict[str, int]) -> None:
    """Restore the settings of the session. If that fails, discard the connection."""
    if connection.invalidated:  # already closed
        return
    try:
        connection.rollback()
        connection.execute(_SET_WAITS, waits)
        connection.rollback()
    except DBAPIError:
        connection.invalidate()
