"""PostgreSQL and MariaDB: each call is explained, while the server is killed, stopped and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from ca_embed.testing import Fault, HistoryContract
from tests.storage.history_faults import cut_mariadb, cut_postgresql, server_faults
from tests.storage.local_servers import MariaDBServer, PostgreSQLServer
from tests.storage.sql.opening import ByPsycopg, ByPyMySQL


class TestPostgreSQL(ByPsycopg, HistoryContract):
    """PostgreSQL."""

    calls = 1000

    @pytest.fixture
    def faults(self, postgresql: PostgreSQLServer) -> Sequence[Fault]:
        """The server is stopped, killed and started again, and its connections are cut."""
        return server_faults(postgresql, partial(cut_postgresql, postgresql))


class TestMariaDB(ByPyMySQL, HistoryContract):
    """MariaDB."""

    calls = 1000

    @pytest.fixture
    def faults(self, mariadb: MariaDBServer) -> Sequence[Fault]:
        """The server is stopped, killed and started again, and its connections are cut."""
        return server_faults(mariadb, partial(cut_mariadb, mariadb))
