"""PostgreSQL with a synchronous standby: nothing is acknowledged that the standby may not have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import AsyncSQLAlchemyStorage, SQLAlchemyStorage, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.testing._storage_processes import record
from tests.flow.kit import wait_until
from tests.storage.local_servers import PostgreSQLServer

SETTINGS = ["off", "local", "remote_write", "on", "remote_apply"]


def _psycopg(url: str, prefix: str, synchronous_commit: str) -> Storage:
    options = f"-c synchronous_commit={synchronous_commit} -c client_min_messages=error"
    engine = create_engine(url, pool_size=1, connect_args={"connect_timeout": 2, "options": options})
    return SQLAlchemyStorage(engine, table_prefix=prefix)


def _async_psycopg(url: str, prefix: str, synchronous_commit: str) -> Storage:
    options = f"-c synchronous_commit={synchronous_commit} -c client_min_messages=error"
    engine = create_async_engine(url, connect_args={"connect_timeout": 2, "options": options})
    return as_sync(AsyncSQLAlchemyStorage(engine, table_prefix=prefix))


def _asyncpg(url: str, prefix: str, synchronous_commit: str) -> Storage:
    settings = {"synchronous_commit": synchronous_commit, "client_min_messages": "error"}
    engine = create_async_engine(
        url.replace("+psycopg", "+asyncpg"), connect_args={"timeout": 2, "server_settings": settings}
    )
    return as_sync(AsyncSQLAlchemyStorage(engine, table_prefix=prefix))


Open = Callable[[str, str, str], Storage]
DRIVERS = pytest.mark.parametrize("open_with", [_psycopg, _async_psycopg, _asyncpg])


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server. The first failed commits keep waiting, so no other file uses it."""
    with PostgreSQLServer.running() as running:
        yield running


@pytest.fixture
def table(server: PostgreSQLServer, prefix: str) -> Iterator[str]:
    """The prefix of an empty table. Afterwards, the server waits for a standby that is not there."""
    storage = SQLAlchemyStorage(server.url, table_prefix=prefix)
    storage.create_table()
    storage.close()
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: _one(server, "SHOW synchronous_standby_names") == "gone")
        yield prefix
        connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        connection.execute("SELECT pg_reload_conf()")
    wait_until(lambda: _one(server, "SHOW synchronous_standby_names") == "" and not _waiting(server))


@DRIVERS
def test_no_setting_acknowledges_without_the_standby(
    open_with: Open, server: PostgreSQLServer, table: str
) -> None:
    """With each default of the host, `save` and `delete` fail within 5 seconds."""

    def save(setting: str) -> object:
        storage = open_with(server.url, table, setting)
        began = time.monotonic()
        try:
            return storage.save(record(setting))
        except StorageUnavailable as error:
            assert time.monotonic() - began < 5
            return error
        finally:
            _dispose(storage)

    with ThreadPoolExecutor(len(SETTINGS)) as pool:
        results = dict(zip(SETTINGS, pool.map(save, SETTINGS), strict=True))
    assert {name: type(result) for name, result in results.items()} == dict.fromkeys(
        SETTINGS, StorageUnavailable
    )


@DRIVERS
@pytest.mark.parametrize("setting", ["local", "remote_apply"])
def test_a_cancelled_wait_is_no_acknowledgement(
    open_with: Open, setting: str, server: PostgreSQLServer, table: str
) -> None:
    """The server then commits locally with a warning, also if the host hides warnings."""
    storage = open_with(server.url, table, setting)
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(storage.save, record("r"))
        wait_until(lambda: _waiting(server))
        for pid in _waiting(server):
            _one(server, f"SELECT pg_cancel_backend({pid})")
        with pytest.raises(StorageUnavailable, match="wait for the synchronous standby was cancelled"):
            saving.result()
    _dispose(storage)


def test_the_connection_is_left_as_it_was(server: PostgreSQLServer, prefix: str) -> None:
    """No handler of warnings stays on a connection of the host, and it prepares statements as before."""
    engine = create_engine(server.url, pool_size=1)
    handlers: list[int] = []
    thresholds: list[int | None] = []

    @event.listens_for(engine, "checkin")
    def look(connection: object, _: object) -> None:
        handlers.append(len(connection._notice_handlers))  # type: ignore[attr-defined]
        thresholds.append(connection.prepare_threshold)  # type: ignore[attr-defined]

    storage = SQLAlchemyStorage(engine, table_prefix=prefix, create_table=True)
    for version in range(1, 4):
        assert storage.save(record("r", version))
    engine.dispose()
    assert len(set(handlers)) == 1
    assert set(thresholds) == {5}


def test_a_driver_without_warnings_is_refused(
    server: PostgreSQLServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that shows no warnings cannot prove a commit, so the error names drivers that can."""
    monkeypatch.setattr("ca_embed.storage._sql.standby.hasattr", lambda *_: False, raising=False)
    storage = _psycopg(server.url, table, "on")
    with pytest.raises(StorageUnavailable, match="use psycopg 3 or asyncpg"):
        storage.save(record("r"))
    _dispose(storage)


def _waiting(server: PostgreSQLServer) -> list[int]:
    with server.connect() as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchall()
    return [pid for (pid,) in rows]


def _one(server: PostgreSQLServer, query: str) -> object:
    with server.connect() as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def _dispose(storage: Storage) -> None:
    storage.close()
    if isinstance(storage, SQLAlchemyStorage):
        with storage._engine.lend() as engine:
            engine.dispose()
