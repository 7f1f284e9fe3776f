"""What happens to a server while processes use it and their history is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress

import pymysql

from ca_embed.testing import Fault
from tests.storage.local_servers import LocalServer, MariaDBServer, PostgreSQLServer, RedisServer


def server_faults(server: LocalServer, cut: Callable[[], AbstractContextManager[None]]) -> Sequence[Fault]:
    """Return the faults of a server: stopped, killed and started again, and with its connections cut."""
    return [Fault("frozen", server.frozen), Fault("killed", server.away), Fault("cut", cut)]


@contextmanager
def cut_postgresql(server: PostgreSQLServer) -> Iterator[None]:
    """Cut all connections of PostgreSQL."""
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    yield


@contextmanager
def cut_mariadb(server: MariaDBServer) -> Iterator[None]:
    """Cut all connections of MariaDB."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        own = connection.thread_id()
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'ca_embed'")
        for (thread,) in cursor.fetchall():
            if thread != own:
                with suppress(pymysql.OperationalError):  # it may have ended meanwhile
                    cursor.execute(f"KILL SOFT CONNECTION {thread}")
    yield


@contextmanager
def cut_redis(server: RedisServer) -> Iterator[None]:
    """Cut all connections of Redis."""
    with server.connect() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    yield
