"""What PostgreSQL must do for each transaction of ca_embed. Imports no driver and no SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ca_embed.errors import StorageUnavailable

LOCK_WAIT = 2  # seconds to wait for a lock
STATEMENT_WAIT = 3  # seconds for one statement

# The settings hold for this transaction only. `local`, `remote_write` and `off` acknowledge a commit before
# a synchronous standby has it on its disk, so they are raised. `remote_apply` is stronger than `on`.
# With client_min_messages = error, the server would hide that a standby has not confirmed the commit.
BEGIN = f"""
    SELECT set_config('lock_timeout', '{LOCK_WAIT}s', true),
           set_config('statement_timeout', '{STATEMENT_WAIT}s', true),
           set_config('client_min_messages', 'warning', true),
           set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                      WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true),
           current_setting('fsync'),
           current_setting('synchronous_standby_names')
"""

MISSING_TABLE = frozenset({"42P01"})
CONFLICTS = frozenset({"40001", "40P01"})
_POOLER = (
    "a pooler such as pgBouncer loses prepared statements: create your engine with connect_args="
    '{"statement_cache_size": 0} for asyncpg, or {"prepare_threshold": None} for psycopg'
)
REMEDIES: Mapping[str | int, str] = MappingProxyType(
    {
        "3D000": "the database does not exist: create it, or correct the storage's URL",
        "3F000": "the schema does not exist: create it",
        "25006": "it is read-only: connect to the primary server, or let the user write",
        "26000": _POOLER,
        "28P01": "it refused the password: correct the storage's URL",
        "28000": "it refused the user: correct the storage's URL, or pg_hba.conf",
        "42501": "the user lacks a right: grant SELECT, INSERT, UPDATE and DELETE on the table",
        "42P05": _POOLER,
        "53100": "its disk is full: make room",
        "53300": "it has no connection left: raise max_connections, or make the pools smaller",
        "55P03": "the table or a row stayed locked: find the connection that holds the lock (pg_locks)",
        "57014": "a statement took too long and was cancelled: find out what keeps the server busy",
        "57P03": "it is starting up or shutting down: wait a moment",
    }
)


def require_durability(fsync: str) -> None:
    """Raise StorageUnavailable if a crash of the server could lose a commit."""
    if fsync != "on":
        raise StorageUnavailable("the PostgreSQL server may forget what it stored: set fsync = on")
