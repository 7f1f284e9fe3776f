"""SQLAlchemyStorage uses the engine and the schema of the host, and does not change their settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, create_engine, event, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage import DueCursor, SQLAlchemyStorage, add_table
from ca_embed.storage._existing import create_nothing
from ca_embed.storage._urls import storage_from_url
from ca_embed.testing._storage_processes import record
from tests.storage.local_servers import PASSWORD, LocalServer, MariaDBServer, PostgreSQLServer


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> LocalServer:
    """Each SQL server."""
    found: LocalServer = request.getfixturevalue(request.param)
    return found


class BinaryLogServer(MariaDBServer):
    """MariaDB with a binary log of statements."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--log-bin=binary-log",
            "--sync-binlog=1",
            "--binlog-format=STATEMENT",
        ]


@contextmanager
def _engine(server: LocalServer, **options: Any) -> Iterator[Engine]:
    engine = create_engine(server.url, **options)
    yield engine
    engine.dispose()


def test_nothing_is_created_unless_asked(server: LocalServer, prefix: str) -> None:
    """The error names `create_table()`. After one or two calls of it the storage works."""
    with _engine(server) as engine:
        storage = SQLAlchemyStorage(engine, table_prefix=prefix)
        with pytest.raises(StorageUnavailable, match=r"create_table\(\)"):
            storage.load("r")
        storage.create_table()
        storage.create_table()
        assert storage.save(record("r")) is True


def test_by_url_the_table_is_created_when_it_is_missing(server: LocalServer) -> None:
    """With a URL, the first operation creates the table."""
    storage = storage_from_url(server.url)
    assert storage.save(record("by url")) is True
    assert storage.delete("by url", 1) is True
    storage.close()


def test_a_command_that_looks_creates_no_table(server: LocalServer, prefix: str) -> None:
    """Where the application would create the table, the error says that there is no storage."""
    with _engine(server) as engine:
        storage = SQLAlchemyStorage(engine, table_prefix=prefix, create_table=True)
        create_nothing(storage)
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="there is no storage here"):
                storage.load("r")


def test_the_hosts_migrations_know_the_table() -> None:
    """The table has the schema and the prefix of the host, and ids are compared byte by byte."""
    metadata = MetaData(schema="crm")
    table = add_table(metadata, "whatsapp_")
    assert add_table(metadata, "whatsapp_") is table
    assert set(metadata.tables) == {"crm.whatsapp_registrations"}
    assert 'VARCHAR(255) COLLATE "C"' in str(CreateTable(table).compile(dialect=postgresql.dialect()))
    on_mysql = str(CreateTable(table).compile(dialect=mysql.dialect()))
    assert "VARBINARY(1020)" in on_mysql
    assert "LONGBLOB" in on_mysql
    assert "InnoDB" in on_mysql


def test_a_storage_uses_the_hosts_schema(postgresql: PostgreSQLServer, prefix: str) -> None:
    """With the MetaData of the host, records are stored in its schema."""
    with postgresql.connect() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
    with _engine(postgresql) as engine:
        metadata = MetaData(schema="crm")
        storage = SQLAlchemyStorage(engine, metadata=metadata, table_prefix=prefix, create_table=True)
        assert storage.save(record("r")) is True
        with engine.connect() as connection:
            assert connection.scalar(text(f"SELECT count(*) FROM crm.{prefix}registrations")) == 1


def test_commits_are_durable_with_any_default_of_the_host(postgresql: PostgreSQLServer, prefix: str) -> None:
    """Sessions with synchronous_commit off commit durably for ca_embed, and get their setting back."""
    options = {"connect_args": {"options": "-c synchronous_commit=off -c lock_timeout=77"}, "pool_size": 1}
    seen: list[str] = []
    with _engine(postgresql, isolation_level="AUTOCOMMIT", **options) as engine:

        @event.listens_for(engine, "commit")
        def look(connection: Any) -> None:
            seen.append(connection.exec_driver_sql("SHOW synchronous_commit").scalar())

        storage = SQLAlchemyStorage(engine, table_prefix=prefix, create_table=True)
        assert storage.save(record("r")) is True
        assert seen[-1] == "on"
        with engine.connect() as connection:
            assert connection.scalar(text("SHOW synchronous_commit")) == "off"
            assert connection.scalar(text("SHOW lock_timeout")) == "77ms"


def test_the_hosts_sessions_wait_as_before(mariadb: MariaDBServer, prefix: str) -> None:
    """The time limits for locks are restored after each transaction, also after a failure."""
    with _engine(mariadb, pool_size=1, max_overflow=0) as engine:
        storage = SQLAlchemyStorage(engine, table_prefix=prefix)
        with engine.connect() as connection:
            before = connection.execute(text("SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout")).one()
        with pytest.raises(StorageUnavailable):
            storage.load("r")
        storage.create_table()
        storage.save(record("r"))
        with engine.connect() as connection:
            after = connection.execute(text("SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout")).one()
        assert after == before


def test_a_binary_log_of_statements_is_named(prefix: str) -> None:
    """MariaDB cannot write such a log at our isolation level. The error names the setting."""
    with BinaryLogServer.running() as server:
        storage = SQLAlchemyStorage(server.url, table_prefix=prefix, create_table=True)
        with pytest.raises(StorageUnavailable, match="set binlog_format = ROW or MIXED"):
            storage.save(record("r"))
        storage.close()


def test_close_leaves_the_hosts_pool_open(server: LocalServer, prefix: str) -> None:
    """`close` does not touch the pool of the host's own engine."""
    with _engine(server) as engine:
        storage = SQLAlchemyStorage(engine, table_prefix=prefix, create_table=True)
        storage.load("r")
        pooled = engine.pool.status()
        storage.close()
        assert engine.pool.status() == pooled


def test_what_was_acknowledged_survives_kill_9_of_the_server(server: LocalServer, prefix: str) -> None:
    """A server that is killed right after its answer has the records when it is started again."""
    storage = SQLAlchemyStorage(server.url, table_prefix=prefix, create_table=True)
    saved = [record(f"r{number:02}", user_id="ann", due_at=float(number)) for number in range(20)]
    assert all(map(storage.save, saved))
    with server.away():
        pass
    assert list(storage.list(limit=99)) == saved
    storage.close()


def test_pages_are_found_by_an_index(server: LocalServer, prefix: str) -> None:
    """For a page, the server reads no more rows than the page has, beginning at the cursor."""
    with _engine(server) as engine:
        storage = SQLAlchemyStorage(engine, table_prefix=prefix)
        storage.create_table()
        _fill(engine, f"{prefix}registrations", server)
        costs: list[int] = []

        @event.listens_for(engine, "before_cursor_execute")
        def count(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
            if "ORDER BY" in statement:
                look = _rows_read_by_postgresql if server.program == "postgres" else _rows_read_by_mariadb
                costs.append(look(cursor, statement, parameters))

        pages = (
            storage.due(900.0, limit=10, after=DueCursor(500.0, "r500")),
            storage.list(user_id="user-7", limit=10, after="r0"),
            storage.list(limit=10, after="r500"),
        )
    assert [len(page) for page in pages] == [10, 10, 10]
    assert len(costs) == 3
    assert max(costs) <= 12


def _rows_read_by_postgresql(cursor: Any, statement: str, parameters: Any) -> int:
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
    scan = cursor.fetchone()[0][0]["Plan"]
    while "Plans" in scan:
        (scan,) = scan["Plans"]
    return int(scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0))


def _rows_read_by_mariadb(cursor: Any, statement: str, parameters: Any) -> int:
    cursor.execute("FLUSH STATUS")
    cursor.execute(statement, parameters)
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    counts = {name: int(count) for name, count in cursor.fetchall()}
    return counts["Handler_read_next"] + counts["Handler_read_rnd_next"] + counts["Handler_read_key"]


def _fill(engine: Engine, table: str, server: LocalServer) -> None:
    rows = [
        {"id": f"r{n}".encode(), "user": f"user-{n % 50}".encode(), "due": float(n), "document": b"sealed"}
        for n in range(2000)
    ]
    if isinstance(server, PostgreSQLServer):
        rows = [{**row, "id": row["id"].decode(), "user": row["user"].decode()} for row in rows]  # type: ignore[attr-defined]
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} VALUES (:id, 1, :user, :due, :document)"), rows)
        connection.execute(text(f"ANALYZE {'' if isinstance(server, PostgreSQLServer) else 'TABLE '}{table}"))


def test_no_text_shows_the_password(server: LocalServer, prefix: str) -> None:
    """Neither the repr of the storage nor the error for a wrong password contains it."""
    storage = SQLAlchemyStorage(server.url.replace(PASSWORD, "fake-wrong-password"), table_prefix=prefix)
    with pytest.raises(StorageUnavailable, match="password") as caught:
        storage.load("r")
    assert "fake-wrong-password" not in f"{caught.value!r} {caught.value} {storage!r}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://user:fake-password@host:port/database",
        "postgresql+psycopg://user:fake-password@host",
        "postgresql+psycopg2://user:fake-password@host/database",
        "sqlite:///fake-password.db",
        "fake-password",
    ],
)
def test_a_wrong_url_is_refused(url: str) -> None:
    """A wrong URL is refused when the storage is created, and the error shows no password."""
    with pytest.raises(ConfigurationError) as caught:
        SQLAlchemyStorage(url)
    assert "fake-password" not in str(caught.value)


def test_a_database_that_is_not_known_is_refused() -> None:
    """Another kind of database is refused, because ca_embed is not tested with it."""
    with pytest.raises(ConfigurationError, match="not in sqlite"):
        SQLAlchemyStorage(create_engine("sqlite://"))


@pytest.mark.parametrize("prefix", ["white space", "x" * 41, "9", "é", "a;b"])
def test_a_prefix_must_be_a_name(prefix: str) -> None:
    """A prefix that cannot be part of a table name is refused."""
    with pytest.raises(ConfigurationError, match="table_prefix"):
        add_table(MetaData(), prefix)
