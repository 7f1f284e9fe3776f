"""PostgreSQL behind pgBouncer in transaction mode, where each transaction may get another connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from werkzeug.test import Client

from ca_embed import Embed
from ca_embed.errors import StorageUnavailable
from ca_embed.storage import AsyncSQLAlchemyStorage, SQLAlchemyStorage, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.testing import signed_webhook
from ca_embed.testing._storage_processes import record
from tests.storage.local_servers import PgBouncer, PostgreSQLServer


@pytest.fixture(scope="module")
def bouncer(postgresql: PostgreSQLServer) -> Iterator[PgBouncer]:
    """PgBouncer."""
    with PgBouncer.before(postgresql) as running:
        yield running


def _by_url(url: str, prefix: str) -> Storage:
    return SQLAlchemyStorage(url, table_prefix=prefix, create_table=True)


def _by_engine(url: str, prefix: str) -> Storage:
    return SQLAlchemyStorage(create_engine(url, pool_size=8), table_prefix=prefix, create_table=True)


def _async_psycopg(url: str, prefix: str) -> Storage:
    engine = create_async_engine(url, pool_size=8)
    return as_sync(AsyncSQLAlchemyStorage(engine, table_prefix=prefix, create_table=True))


def _asyncpg(url: str, prefix: str, **options: Any) -> Storage:
    url = url.replace("+psycopg", "+asyncpg")
    engine = create_async_engine(url, pool_size=8, connect_args=options)
    return as_sync(AsyncSQLAlchemyStorage(engine, table_prefix=prefix, create_table=True))


def _asyncpg_unprepared(url: str, prefix: str) -> Storage:
    return _asyncpg(url, prefix, statement_cache_size=0)


@pytest.mark.parametrize("open_with", [_by_url, _by_engine, _async_psycopg, _asyncpg_unprepared])
def test_all_saves_succeed(open_with: Any, bouncer: PgBouncer, prefix: str) -> None:
    """Of 300 saves and loads in eight threads, none fails."""
    storage = open_with(bouncer.url, prefix)

    def save(number: int) -> object:
        name = f"r{number}"
        try:
            return storage.save(record(name)), storage.save(record(name, 2)), storage.load(name)
        except StorageUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        results = dict(enumerate(pool.map(save, range(300))))
    assert {n: r for n, r in results.items() if r != (True, True, record(f"r{n}", 2))} == {}
    _close(storage)


def test_all_webhooks_are_acknowledged(bouncer: PgBouncer, prefix: str) -> None:
    """Of 300 webhooks in eight threads, each gets 200."""
    token = "fake-partner-token-of-the-tests"
    embed = Embed(
        base_url="http://127.0.0.1:9",
        partner_token=token,
        public_url="https://crm.example/chatarchitect",
        encryption_keys="fake-encryption-key-of-the-tests",
        storage=SQLAlchemyStorage(bouncer.url, table_prefix=prefix, create_table=True),
    )

    def deliver(number: int) -> int:
        headers, body = signed_webhook(token, registration_id=f"r{number}", partner_user_id="7")
        response = Client(embed.wsgi).post("/webhook", data=body, headers=headers)
        return response.status_code

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(deliver, range(300))) == {200: 300}
    embed.close()


def test_the_setting_for_asyncpg_is_named(bouncer: PgBouncer, prefix: str) -> None:
    """With prepared statements, the error names the setting that turns them off."""
    storage = _asyncpg(bouncer.url, prefix)
    assert storage.save(record("r"))
    with psycopg.connect(bouncer.url.replace("+psycopg", ""), prepare_threshold=None) as holder:
        holder.execute("SELECT 1")  # holds the server's connection that has the prepared statement
        with pytest.raises(StorageUnavailable, match=r'pgBouncer .*"statement_cache_size": 0'):
            storage.save(record("r", 2))
    _close(storage)


def _close(storage: Storage) -> None:
    storage.close()
    if isinstance(storage, SQLAlchemyStorage):
        with storage._engine.lend() as engine:
            engine.dispose()
