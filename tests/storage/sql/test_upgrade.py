"""PostgreSQL and MariaDB: the records of older releases can be read and changed."""

from __future__ import annotations

import pytest

from ca_embed.testing._upgrade_contract import UpgradeContract
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer
from tests.storage.releases import snapshots
from tests.storage.sql.opening import ByAsyncmy, ByAsyncPsycopg, ByPsycopg, ByPyMySQL


@pytest.mark.parametrize("release", snapshots.RELEASES)
class OnPostgreSQL(UpgradeContract):
    """A table in PostgreSQL."""

    @pytest.fixture
    def older_release(self, release: str, postgresql: PostgreSQLServer, prefix: str) -> None:
        """Create the table as the older release stored it."""
        snapshots.restore_table(release, postgresql, prefix)


@pytest.mark.parametrize("release", snapshots.RELEASES)
class OnMariaDB(UpgradeContract):
    """A table in MariaDB."""

    @pytest.fixture
    def older_release(self, release: str, mariadb: MariaDBServer, prefix: str) -> None:
        """Create the table as the older release stored it."""
        snapshots.restore_table(release, mariadb, prefix)


class TestPostgreSQL(ByPsycopg, OnPostgreSQL):
    """psycopg."""


class TestMariaDB(ByPyMySQL, OnMariaDB):
    """PyMySQL."""


class TestAsyncPostgreSQL(ByAsyncPsycopg, OnPostgreSQL):
    """psycopg."""


class TestAsyncMariaDB(ByAsyncmy, OnMariaDB):
    """asyncmy."""
