"""Opens the storages with each driver, also in the child processes of the contract suites."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from ca_embed.storage._sql.storage import AsyncSQLAlchemyStorage, SQLAlchemyStorage
from ca_embed.testing._storage_processes import OpenStorage
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer

TIMEOUTS: dict[str, dict[str, Any]] = {
    "postgresql+psycopg": {"connect_timeout": 2},
    "postgresql+asyncpg": {"timeout": 2},
    "mysql+asyncmy": {"connect_timeout": 2},
}


def open_async(url: str, driver: str, table_prefix: str) -> AsyncSQLAlchemyStorage:
    """Open a storage with an engine like that of a host application."""
    url = f"{driver}:{url.partition(':')[2]}"
    engine = create_async_engine(url, connect_args=TIMEOUTS[driver], pool_timeout=4, max_overflow=15)
    return AsyncSQLAlchemyStorage(engine, table_prefix=table_prefix, create_table=True)


class ByPsycopg:
    """PostgreSQL."""

    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(SQLAlchemyStorage, postgresql.url, table_prefix=prefix, create_table=True)


class ByPyMySQL:
    """MariaDB."""

    @pytest.fixture
    def open_storage(self, mariadb: MariaDBServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        url = f"{mariadb.url}?ssl_disabled=true"  # else PyMySQL reads all certificates at each connection
        return partial(SQLAlchemyStorage, url, table_prefix=prefix, create_table=True)


class ByAsyncPsycopg:
    """PostgreSQL, asynchronously."""

    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(open_async, postgresql.url, "postgresql+psycopg", prefix)


class ByAsyncpg:
    """PostgreSQL, asynchronously."""

    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(open_async, postgresql.url, "postgresql+asyncpg", prefix)


class ByAsyncmy:
    """MariaDB, asynchronously."""

    @pytest.fixture
    def open_storage(self, mariadb: MariaDBServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(open_async, mariadb.url, "mysql+asyncmy", prefix)
