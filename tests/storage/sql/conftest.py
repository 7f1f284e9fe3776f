"""The SQL servers, started once for each session, with a table prefix for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.storage.local_servers import MariaDBServer, MySQLServer, PostgreSQLServer


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server."""
    with PostgreSQLServer.running() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDBServer]:
    """A MariaDB server, or a MySQL server if CA_EMBED_TEST_MYSQLD is set."""
    kind = MySQLServer if "CA_EMBED_TEST_MYSQLD" in os.environ else MariaDBServer
    with kind.running() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A table prefix that no other test uses."""
    return f"t{uuid4().hex}_"
