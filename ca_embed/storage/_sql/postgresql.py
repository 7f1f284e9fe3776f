"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zlib import crc32

from sqlalchemy import ColumnElement, Connection, Insert, Table, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from ca_embed.storage._base import DueCursor
from ca_embed.storage._sql import postgresql_rules
from ca_embed.storage._sql.server import Server
from ca_embed.storage._sql.standby import refuse_blind_driver, require_standby

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

_BEGIN = text(postgresql_rules.BEGIN)
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


class PostgreSQL(Server):
    """PostgreSQL. Settings hold for one transaction only, so none has to be restored."""

    missing_table = postgresql_rules.MISSING_TABLE
    conflicts = postgresql_rules.CONFLICTS
    remedies = postgresql_rules.REMEDIES

    @contextmanager
    def transaction(self, connection: Connection) -> Generator[None]:
        """See `Server.transaction`."""
        connection.execution_options(isolation_level="READ COMMITTED")
        driver_connection = connection.connection.driver_connection
        with _unprepared(driver_connection):
            *_, fsync, standby_names = connection.execute(_BEGIN).one()
            postgresql_rules.require_durability(fsync)
            refuse_blind_driver(driver_connection, standby_names)
            yield
            with require_standby(driver_connection):
                connection.commit()

    def insert(self, table: Table) -> Insert:
        """See `Server.insert`."""
        return insert(table).on_conflict_do_nothing(index_elements=[table.c.registration_id])

    def is_duplicate(self, error: DBAPIError) -> bool:  # noqa: ARG002 (the protocol's)
        """Return False: ON CONFLICT DO NOTHING raises no error for a duplicate."""
        return False

    def after(self, table: Table, cursor: DueCursor) -> ColumnElement[bool]:
        """See `Server.after`."""
        return tuple_(table.c.due_at, table.c.registration_id) > tuple_(*cursor)

    @contextmanager
    def lock_for_creation(self, connection: Connection, name: str) -> Generator[None]:
        """See `Server.lock_for_creation`. PostgreSQL releases the lock when the transaction ends."""
        connection.execute(_LOCK, {"key": crc32(name.encode())})
        yield

    def code(self, error: DBAPIError) -> str | None:
        """Return the SQLSTATE. psycopg and asyncpg both provide it."""
        return getattr(error.orig, "sqlstate", None)


@contextmanager
def _unprepared(driver_connection: Any) -> Generator[None]:
    """Let psycopg prepare no statement in the block: pgBouncer in transaction mode would lose it."""
    threshold = getattr(driver_connection, "prepare_threshold", None)
    if threshold is None:
        yield
        return
    driver_connection.prepare_threshold = None
    try:
        yield
    finally:
        driver_connection.prepare_threshold = threshold
