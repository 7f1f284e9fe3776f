"""The least that each storage engine can do: one row of our length, one durable commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import local
from typing import Any

from benchmarks._deliveries import new_id
from ca_embed.storage import FilesystemStorage, SealedRecord, SQLiteStorage, Storage

DOCUMENT = os.urandom(700)  # about as long as a sealed one
_TABLE = "rows_alone (id VARCHAR(64) PRIMARY KEY, version INTEGER, user_id VARCHAR(64), document {bytes})"
_INSERT = "INSERT INTO rows_alone VALUES ({0}, 1, 'user_456', {0})"

Insert = Callable[[], object]


def saves(storage: Storage) -> Insert:
    """Return a call that saves one new record."""
    return lambda: storage.save(SealedRecord(new_id(), 1, "user_456", None, DOCUMENT))


def sqlite_rows(path: Path) -> Insert:
    """Return a call that inserts one row into SQLite durably."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    with connect() as first:
        first.execute(f"CREATE TABLE {_TABLE.format(bytes='BLOB')}")
    return _on_a_connection_each(connect, lambda it: it.execute(_INSERT.format("?"), (new_id(), DOCUMENT)))


@contextmanager
def sqlite() -> Iterator[tuple[Insert, Insert]]:
    """Yield a save and a commit of the engine alone."""
    with TemporaryDirectory() as folder:
        storage = SQLiteStorage(Path(folder) / "ca_embed.db")
        yield saves(storage), sqlite_rows(Path(folder) / "alone.db")
        storage.close()


@contextmanager
def files() -> Iterator[tuple[Insert, Insert]]:
    """The engine alone writes a file, flushes it, renames it, and flushes its folder."""
    with TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        alone.mkdir()

        def write() -> None:
            name = alone / new_id()
            with name.with_suffix(".new").open("wb") as file:
                file.write(DOCUMENT)
                file.flush()
                os.fsync(file.fileno())
            name.with_suffix(".new").rename(name)
            descriptor = os.open(alone, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

        yield saves(FilesystemStorage(Path(folder) / "records")), write


@contextmanager
def postgresql() -> Iterator[tuple[Insert, Insert]]:
    """The engine alone inserts on a connection of psycopg for each thread."""
    from tests.storage.local_servers import PostgreSQLServer

    with PostgreSQLServer.running() as server, _sql(server, "BYTEA") as both:
        yield both


@contextmanager
def mariadb() -> Iterator[tuple[Insert, Insert]]:
    """The engine alone inserts on a connection of PyMySQL for each thread."""
    from tests.storage.local_servers import MariaDBServer

    with MariaDBServer.running() as server, _sql(server, "BLOB") as both:
        yield both


@contextmanager
def redis() -> Iterator[tuple[Insert, Insert]]:
    """The engine alone sets one key."""
    from ca_embed.storage import RedisStorage
    from tests.storage.local_servers import RedisServer

    with RedisServer.running() as server:
        storage = RedisStorage(server.url)
        insert = _on_a_connection_each(server.connect, lambda client: client.set(new_id(), DOCUMENT))
        yield saves(storage), insert
        storage.close()


@contextmanager
def _sql(server: Any, bytes_type: str) -> Iterator[tuple[Insert, Insert]]:
    from ca_embed.storage import SQLAlchemyStorage

    def execute(connection: Any, statement: str, values: tuple[object, ...] = ()) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)

    execute(server.connect(), f"CREATE TABLE {_TABLE.format(bytes=bytes_type)}")
    storage = SQLAlchemyStorage(server.url)
    storage.create_table()
    insert = _on_a_connection_each(
        server.connect, lambda connection: execute(connection, _INSERT.format("%s"), (new_id(), DOCUMENT))
    )
    yield saves(storage), insert
    storage.close()


def _on_a_connection_each(connect: Callable[[], Any], act: Callable[[Any], object]) -> Insert:
    """Return a call that acts on a connection of its thread."""
    connections = local()

    def call() -> object:
        if not hasattr(connections, "own"):
            connections.own = connect()
        return act(connections.own)

    return call


ENGINES = {"SQLite": sqlite, "files": files, "PostgreSQL": postgresql, "MariaDB": mariadb, "Redis": redis}
