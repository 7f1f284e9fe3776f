"""DjangoStorage keeps the contract of a durable storage in PostgreSQL, MariaDB and SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction

from ca_embed.errors import StorageUnavailable
from ca_embed.testing import DurableStorageContract, StorageContract
from ca_embed.testing._storage_processes import OpenStorage, record
from tests.adapters import django_database
from tests.adapters.django_database import ALIAS, TABLE, in_file, on_server
from tests.flow.kit import wait_until
from tests.storage.local_servers import MariaDBServer, PgBouncer, PostgreSQLServer
from tests.storage.sql import troubles


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server."""
    with PostgreSQLServer.running() as server:
        yield server


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDBServer]:
    """A MariaDB server."""
    with MariaDBServer.running() as server:
        yield server


@contextmanager
def _migrated(database: dict[str, Any]) -> Iterator[OpenStorage]:
    """Migrate the database and empty the table."""
    django_database.use(database)
    try:
        call_command("migrate", "ca_embed", database=ALIAS, verbosity=0)
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(f"DELETE FROM {TABLE}")
        yield partial(django_database.open_storage, database)
    finally:
        django_database.forget()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


def _spoil_in_file(path: Path, registration_id: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {TABLE} SET document = 'x' WHERE registration_id = ?", [registration_id])


class TestPostgreSQL(DurableStorageContract):
    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer) -> Iterator[OpenStorage]:
        """Open the empty table."""
        with _migrated(on_server(postgresql)) as opened:
            yield opened

    @pytest.fixture(params=troubles.POSTGRESQL)
    def trouble(
        self, request: pytest.FixtureRequest, postgresql: PostgreSQLServer
    ) -> AbstractContextManager[None]:
        """A failure of the server."""
        return troubles.postgresql_trouble(postgresql, TABLE, request.param)

    @pytest.fixture
    def damage(self, postgresql: PostgreSQLServer) -> Callable[[str], None]:
        """Damage one row."""
        return partial(troubles.spoil, postgresql, TABLE)


class TestMariaDB(DurableStorageContract):
    @pytest.fixture
    def open_storage(self, mariadb: MariaDBServer) -> Iterator[OpenStorage]:
        """Open the empty table."""
        with _migrated(on_server(mariadb)) as opened:
            yield opened

    @pytest.fixture(params=troubles.MARIADB)
    def trouble(self, request: pytest.FixtureRequest, mariadb: MariaDBServer) -> AbstractContextManager[None]:
        """A failure of the server."""
        return troubles.mariadb_trouble(mariadb, TABLE, request.param)

    @pytest.fixture
    def damage(self, mariadb: MariaDBServer) -> Callable[[str], None]:
        """Damage one row."""
        return partial(troubles.spoil, mariadb, TABLE)


class TestSQLite(DurableStorageContract):
    @pytest.fixture
    def open_storage(self, tmp_path: Path) -> Iterator[OpenStorage]:
        """Open the empty table."""
        with _migrated(in_file(tmp_path / "host.db")) as opened:
            yield opened

    @pytest.fixture
    def trouble(self, tmp_path: Path) -> AbstractContextManager[None]:
        """Another program holds the lock of the file."""
        return _locked(tmp_path / "host.db")

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[str], None]:
        """Damage one row."""
        return partial(_spoil_in_file, tmp_path / "host.db")


class TestPostgreSQLWithNewConnections(StorageContract):
    """Django's default: a host's connection ends with its request."""

    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer) -> Iterator[OpenStorage]:
        """Open the empty table."""
        with _migrated(on_server(postgresql) | {"CONN_MAX_AGE": 0}) as opened:
            yield opened


class TestMariaDBWithNewConnections(StorageContract):
    """Django's default: a host's connection ends with its request."""

    @pytest.fixture
    def open_storage(self, mariadb: MariaDBServer) -> Iterator[OpenStorage]:
        """Open the empty table."""
        with _migrated(on_server(mariadb) | {"CONN_MAX_AGE": 0}) as opened:
            yield opened


# ---------------------------------------------------------------------------------------- durability


@pytest.fixture
def standby_gone(postgresql: PostgreSQLServer) -> Iterator[OpenStorage]:
    """A table on a server that waits for a standby that is not there. The host commits locally."""
    database = on_server(postgresql, options="-c synchronous_commit=local")
    with _migrated(database) as opened, postgresql.connect() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: _shown(postgresql, "synchronous_standby_names") == "gone")
        yield opened
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: not _waiting(postgresql))


def test_nothing_is_acknowledged_without_the_standby(standby_gone: OpenStorage) -> None:
    """`save` waits for the synchronous standby, and fails within 5 seconds."""
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):
        standby_gone().save(record("r"))
    assert time.monotonic() - began < 5


def test_a_cancelled_wait_is_no_acknowledgement(
    standby_gone: OpenStorage, postgresql: PostgreSQLServer
) -> None:
    """If the server stops waiting for its standby, `save` fails."""
    storage = standby_gone()
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(storage.save, record("r"))
        wait_until(lambda: _waiting(postgresql))
        with postgresql.connect() as connection:
            connection.execute("SELECT pg_cancel_backend(%s)", _waiting(postgresql))
        with pytest.raises(StorageUnavailable, match="wait for the synchronous standby was cancelled"):
            saving.result()


def test_sqlite_flushes_each_commit(tmp_path: Path) -> None:
    """`synchronous` is EXTRA while ca_embed writes, and as the host set it afterwards."""
    database = in_file(tmp_path / "host.db", init_command="PRAGMA synchronous = OFF")
    seen: dict[str, int] = {}

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT"):
            seen["within"] = _pragma("synchronous")
        return execute(sql, params, many, context)

    with _migrated(database) as opened, connections[ALIAS].execute_wrapper(look):
        before = _pragma("busy_timeout")
        assert opened().save(record("r")) is True
        seen["afterwards"] = _pragma("synchronous")
        assert _pragma("busy_timeout") == before
    assert seen == {"within": 3, "afterwards": 0}


def test_sqlite_without_a_journal_is_refused(tmp_path: Path) -> None:
    """The error names the pragma."""
    with (
        _migrated(in_file(tmp_path / "host.db", init_command="PRAGMA journal_mode = OFF")) as opened,
        pytest.raises(StorageUnavailable, match="journal_mode = WAL"),
    ):
        opened().save(record("r"))


# ---------------------------------------------------------------------- the host's own connection


@pytest.mark.parametrize("name", ["frozen", "rows locked"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_an_open_connection_of_the_host_waits_no_longer(
    kind: str, name: str, request: pytest.FixtureRequest
) -> None:
    """A connection that the host opened without time limits answers within 5 seconds, too."""
    server = request.getfixturevalue(kind)
    trouble = {"postgresql": troubles.postgresql_trouble, "mariadb": troubles.mariadb_trouble}[kind]
    with _migrated(on_server(server)) as opened:
        storage = opened()
        storage.save(record("r"))
        with trouble(server, TABLE, name):
            began = time.monotonic()
            with pytest.raises(StorageUnavailable):
                storage.save(record("r", 2))
            assert time.monotonic() - began < 5
        assert storage.save(record("r", 2)) is True


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_settings_of_the_host_are_restored(kind: str, request: pytest.FixtureRequest) -> None:
    """After reading inside a transaction of the host, and after writing outside, all are as before."""
    query = {
        "postgresql": "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), "
        "current_setting('synchronous_commit'), current_setting('client_min_messages')",
        "mariadb": "SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout",
    }[kind]

    def settings() -> Any:
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()

    with _migrated(on_server(request.getfixturevalue(kind))) as opened:
        storage, before = opened(), settings()
        assert storage.save(record("r")) is True
        assert settings() == before
        with transaction.atomic(ALIAS):
            assert storage.load("r") == record("r")
            assert settings() == before


def test_it_works_behind_pgbouncer(postgresql: PostgreSQLServer) -> None:
    """Of 50 saves in four threads, none fails."""
    with PgBouncer.before(postgresql) as bouncer, _migrated(on_server(bouncer)) as opened:
        storage = opened()
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda number: storage.save(record(f"r{number}")), range(50)))


def _pragma(name: str) -> int:
    return int(connections[ALIAS].connection.execute(f"PRAGMA {name}").fetchone()[0])


def _waiting(server: PostgreSQLServer) -> list[int]:
    with server.connect() as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchall()
    return [pid for (pid,) in rows]


def _shown(server: PostgreSQLServer, name: str) -> object:
    with server.connect() as connection:
        row = connection.execute(f"SHOW {name}".encode()).fetchone()
    assert row is not None
    return row[0]
