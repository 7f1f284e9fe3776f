"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

from sqlalchemy import ColumnElement, Connection, Insert, Table, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._base import DueCursor
from ca_embed.storage._sql.server import LOCK_WAIT, STATEMENT_WAIT, Server

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

# These settings hold for this transaction only. A setting that is stronger than "on" is kept.
_BEGIN = text(f"""
    SELECT set_config('lock_timeout', '{LOCK_WAIT}s', true),
           set_config('statement_timeout', '{STATEMENT_WAIT}s', true),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off'
                      THEN 'on' ELSE current_setting('synchronous_commit') END, true),
           current_setting('fsync')
""")
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


class PostgreSQL(Server):
    """PostgreSQL. Settings hold for one transaction only, so none has to be restored."""

    missing_table = frozenset({"42P01"})
    conflicts = frozenset({"40001", "40P01"})
    remedies: ClassVar = {
        "3D000": "the database does not exist: create it, or correct the storage's URL",
        "3F000": "the schema does not exist: create it",
        "25006": "it is read-only: connect to the primary server, or let the user write",
        "28P01": "it refused the password: correct the storage's URL",
        "28000": "it refused the user: correct the storage's URL, or pg_hba.conf",
        "42501": "the user lacks a right: grant SELECT, INSERT, UPDATE and DELETE on the table",
        "53100": "its disk is full: make room",
        "53300": "it has no connection left: raise max_connections, or make the pools smaller",
        "55P03": "the table or a row stayed locked: find the connection that holds the lock (pg_locks)",
        "57014": "a statement took too long and was cancelled: find out what keeps the server busy",
        "57P03": "it is starting up or shutting down: wait a moment",
    }

    @contextmanager
    def transaction(self, connection: Connection) -> Generator[None]:
        """See `Server.transaction`."""
        connection.execution_options(isolation_level="READ COMMITTED")
        *_, fsync = connection.execute(_BEGIN).one()
        if fsync != "on":
            raise StorageUnavailable("the PostgreSQL server may forget what it stored: set fsync = on")
        yield
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
