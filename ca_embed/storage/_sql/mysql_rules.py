"""What MySQL and MariaDB must do for each transaction of ca_embed. Imports no driver and no SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ca_embed.errors import StorageUnavailable

LOCK_WAIT = 2  # seconds to wait for a lock

BEGIN = """
    SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout, @@innodb_flush_log_at_trx_commit, @@log_bin,
           @@sync_binlog
"""

MISSING_TABLE = frozenset({1146})
CONFLICTS = frozenset({1213})
REMEDIES: Mapping[str | int, str] = MappingProxyType(
    {
        1021: "its disk is full: make room",
        1040: "it has no connection left: raise max_connections, or make the pools smaller",
        1044: "the user may not use the database: grant it, or correct the storage's URL",
        1045: "it refused the user or the password: correct the storage's URL",
        1049: "the database does not exist: create it, or correct the storage's URL",
        1114: "the table is full: make room on its disk",
        1142: "the user lacks a right: grant SELECT, INSERT, UPDATE and DELETE on the table",
        1153: "a record exceeds max_allowed_packet: raise it",
        1205: "the table or a row stayed locked: find the connection that holds the lock (SHOW PROCESSLIST)",
        1290: "it is read-only: connect to the primary server",
        1665: "its binary log cannot take the transaction: set binlog_format = ROW or MIXED, not STATEMENT",
        1792: "it is read-only: connect to the primary server",
        1836: "it is read-only: connect to the primary server",
    }
)


def require_durability(flush: int, binary_log: int, sync_binary_log: int) -> None:
    """Raise StorageUnavailable if a crash of the server could lose a commit.

    With the binary log on, recovery undoes each transaction that this log lacks. So it must be flushed, too.
    """
    if flush not in (1, 3):  # 3 exists only in MariaDB and flushes twice
        raise StorageUnavailable(
            "the MySQL server may forget what it stored: set innodb_flush_log_at_trx_commit = 1"
        )
    if binary_log and sync_binary_log != 1:
        raise StorageUnavailable("the MySQL server may forget what it stored: set sync_binlog = 1")
