"""The SQL storages keep the contract on real servers, with synchronous and asynchronous drivers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest

from ca_embed.testing._durable_storage_contract import DurableStorageContract
from ca_embed.testing._storage_contract import StorageContract
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer
from tests.storage.sql import troubles
from tests.storage.sql.opening import ByAsyncmy, ByAsyncpg, ByAsyncPsycopg, ByPsycopg, ByPyMySQL


class OnPostgreSQL(DurableStorageContract):
    """The contract suite, with failures and damage of a PostgreSQL server."""

    @pytest.fixture(params=troubles.POSTGRESQL)
    def trouble(
        self, request: pytest.FixtureRequest, postgresql: PostgreSQLServer, prefix: str
    ) -> AbstractContextManager[None]:
        """A failure of the server."""
        return troubles.postgresql_trouble(postgresql, f"{prefix}registrations", request.param)

    @pytest.fixture
    def damage(self, postgresql: PostgreSQLServer, prefix: str) -> Callable[[str], None]:
        """Damage one row."""
        return partial(troubles.spoil, postgresql, f"{prefix}registrations")


class OnMariaDB(DurableStorageContract):
    """The contract suite, with failures and damage of a MariaDB server."""

    @pytest.fixture(params=troubles.MARIADB)
    def trouble(
        self, request: pytest.FixtureRequest, mariadb: MariaDBServer, prefix: str
    ) -> AbstractContextManager[None]:
        """A failure of the server."""
        return troubles.mariadb_trouble(mariadb, f"{prefix}registrations", request.param)

    @pytest.fixture
    def damage(self, mariadb: MariaDBServer, prefix: str) -> Callable[[str], None]:
        """Damage one row."""
        return partial(troubles.spoil, mariadb, f"{prefix}registrations")


class TestPostgreSQL(ByPsycopg, OnPostgreSQL):
    """psycopg."""


class TestMariaDB(ByPyMySQL, OnMariaDB):
    """PyMySQL."""


class TestAsyncPostgreSQL(ByAsyncPsycopg, OnPostgreSQL):
    """psycopg."""


class TestAsyncpg(ByAsyncpg, StorageContract):
    """asyncpg. The tests that do not depend on the driver run with psycopg only."""


class TestAsyncMariaDB(ByAsyncmy, OnMariaDB):
    """asyncmy."""
