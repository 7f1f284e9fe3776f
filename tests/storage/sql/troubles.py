"""Failures of a SQL server, as context managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

from tests.storage.local_servers import MariaDBServer, PostgreSQLServer

POSTGRESQL = ["table locked", "rows locked", "read-only", "frozen", "away", "set to forget"]
MARIADB = ["table locked", "rows locked", "read-only", "frozen", "away", "set to forget"]


def postgresql_trouble(server: PostgreSQLServer, table: str, name: str) -> AbstractContextManager[None]:
    """Return the context manager for a failure of a PostgreSQL server."""
    return {
        "table locked": lambda: _postgresql(server, f'LOCK TABLE "{table}" IN ACCESS EXCLUSIVE MODE'),
        "rows locked": lambda: _postgresql(server, f'LOCK TABLE "{table}" IN EXCLUSIVE MODE'),
        "read-only": lambda: _altered(server, "default_transaction_read_only", "on"),
        "frozen": server.frozen,
        "away": server.away,
        "set to forget": lambda: _altered(server, "fsync", "off"),
    }[name]()


def mariadb_trouble(server: MariaDBServer, table: str, name: str) -> AbstractContextManager[None]:
    """Return the context manager for a failure of a MariaDB server."""
    return {
        "table locked": lambda: _mariadb(server, f"LOCK TABLES `{table}` WRITE"),
        "rows locked": lambda: _mariadb(server, "BEGIN", f"SELECT * FROM `{table}` FOR UPDATE"),
        "read-only": lambda: _mariadb(server, "FLUSH TABLES WITH READ LOCK"),
        "frozen": server.frozen,
        "away": server.away,
        "set to forget": lambda: _mariadb(
            server,
            "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
            undo="SET GLOBAL innodb_flush_log_at_trx_commit = 1",
        ),
    }[name]()


@contextmanager
def _postgresql(server: PostgreSQLServer, statement: str) -> Iterator[None]:
    with server.connect() as connection, connection.transaction():
        connection.execute(statement.encode())
        yield


@contextmanager
def _altered(server: PostgreSQLServer, setting: str, value: str) -> Iterator[None]:
    with server.connect() as connection:
        _alter(connection.execute, f"ALTER SYSTEM SET {setting} = {value}")
        try:
            yield
        finally:
            connection.execute("SET default_transaction_read_only = off")
            _alter(connection.execute, f"ALTER SYSTEM RESET {setting}")


def _alter(execute: Callable[[bytes], object], statement: str) -> None:
    execute(statement.encode())
    execute(b"SELECT pg_reload_conf(), pg_sleep(0.2)")


@contextmanager
def _mariadb(server: MariaDBServer, *statements: str, undo: str = "ROLLBACK") -> Iterator[None]:
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield
        cursor.execute(undo)


def spoil(server: PostgreSQLServer | MariaDBServer, table: str, registration_id: str) -> None:
    """Replace the sealed document of one record."""
    statement = f"UPDATE {table} SET document = %s WHERE registration_id = %s"
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(statement, (b"spoilt", registration_id))
