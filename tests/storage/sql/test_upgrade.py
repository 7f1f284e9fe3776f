"""PostgreSQL and MariaDB: what older releases have stored is read, changed and gone on with."""

from __future__ import annotations

from functools import partial

import pytest

from ca_embed.storage.sqlalchemy import SQLAlchemyStorage
from ca_embed.testing.storage_processes import OpenStorage
from ca_embed.testing.upgrade_contract import UpgradeContract
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer
from tests.storage.releases import snapshots
from tests.storage.sql.opening import open_async


@pytest.mark.parametrize("release", snapshots.RELEASES)
class OnPostgreSQL(UpgradeContract):
    """A table in PostgreSQL."""

    @pytest.fixture
    def older_release(self, release: str, postgresql: PostgreSQLServer, prefix: str) -> None:
        """Lay the table down."""
        snapshots.lay_down_table(release, postgresql, prefix)


@pytest.mark.parametrize("release", snapshots.RELEASES)
class OnMariaDB(UpgradeContract):
    """A table in MariaDB."""

    @pytest.fixture
    def older_release(self, release: str, mariadb: MariaDBServer, prefix: str) -> None:
        """Lay the table down."""
        snapshots.lay_down_table(release, mariadb, prefix)


class TestPostgreSQL(OnPostgreSQL):
    """psycopg."""

    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(SQLAlchemyStorage, postgresql.url, table_prefix=prefix, create_table=True)


class TestMariaDB(OnMariaDB):
    """PyMySQL."""

    @pytest.fixture
    def open_storage(self, mariadb: MariaDBServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(SQLAlchemyStorage, mariadb.url, table_prefix=prefix, create_table=True)


class TestAsyncPostgreSQL(OnPostgreSQL):
    """psycopg, asynchronously."""

    @pytest.fixture
    def open_storage(self, postgresql: PostgreSQLServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(open_async, postgresql.url, "postgresql+psycopg", prefix)


class TestAsyncMariaDB(OnMariaDB):
    """asyncmy."""

    @pytest.fixture
    def open_storage(self, mariadb: MariaDBServer, prefix: str) -> OpenStorage:
        """Open the table of this test."""
        return partial(open_async, mariadb.url, "mysql+asyncmy", prefix)
