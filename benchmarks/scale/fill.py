"""Fills storages quickly: without waiting for the disk, but in each storage's own format."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from ca_embed.storage import FilesystemStorage, SealedRecord, SQLiteStorage, Storage

CHUNK = 1000

Fill = Callable[[Iterable[SealedRecord]], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A storage, and a function that puts many records into it."""

    storage: Storage
    fill: Fill


@contextmanager
def files() -> Generator[Place]:
    """Yield a storage in files."""
    with TemporaryDirectory() as folder:
        storage = FilesystemStorage(Path(folder) / "records")
        storage.load("the first use creates the folder")

        def fill(records: Iterable[SealedRecord]) -> None:
            with patch.object(os, "fsync"):
                for record in records:
                    storage._write(record)
                storage.rebuild_index()

        yield Place(storage, fill)


@contextmanager
def sqlite() -> Generator[Place]:
    """Yield a storage in a SQLite database."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ca_embed.db"
        storage = SQLiteStorage(path)
        storage.load("the first use creates the table")
        insert = "INSERT INTO registrations VALUES (?, ?, ?, ?, ?)"

        def fill(records: Iterable[SealedRecord]) -> None:
            with closing(sqlite3.connect(path)) as connection:
                for chunk in _chunks(records):
                    rows = [(r.registration_id, r.version, r.user_id, r.due_at, r.document) for r in chunk]
                    connection.executemany(insert, rows)
                    connection.commit()

        yield Place(storage, fill)
        storage.close()


@contextmanager
def postgresql() -> Generator[Place]:
    """Yield a storage in a PostgreSQL server that this starts."""
    from tests.storage.local_servers import PostgreSQLServer

    with PostgreSQLServer.running() as server, _sql(server.url) as place:
        yield place


@contextmanager
def mariadb() -> Generator[Place]:
    """Yield a storage in a MariaDB server that this starts.

    Its buffer pool holds a million records in memory, as in production.
    """
    from tests.storage.local_servers import MariaDBServer

    class RoomyServer(MariaDBServer):
        buffer_pool = "3G"

    with RoomyServer.running() as server, _sql(server.url) as place:
        yield place


@contextmanager
def redis() -> Generator[Place]:
    """Yield a storage in a Redis server that this starts."""
    from ca_embed.storage import RedisStorage
    from ca_embed.storage._redis.commands import PREFIX, RedisCommands
    from tests.storage.local_servers import RedisServer

    with ExitStack() as stack:
        server = stack.enter_context(RedisServer.running())
        client = stack.enter_context(server.connect())
        storage, commands = RedisStorage(server.url), RedisCommands(PREFIX)
        stack.callback(storage.close)

        def fill(records: Iterable[SealedRecord]) -> None:
            client.config_set("appendfsync", "no")
            for chunk in _chunks(records):
                pipeline = client.pipeline(transaction=False)
                for record in chunk:
                    pipeline.execute_command(*commands.save(record))
                pipeline.execute()
            client.config_set("appendfsync", "always")

        yield Place(storage, fill)


@contextmanager
def _sql(url: str) -> Generator[Place]:
    from sqlalchemy import MetaData, insert, text

    from ca_embed.storage import SQLAlchemyStorage, add_table
    from ca_embed.storage._sql.engines import engine_from_url, server_of

    engine = engine_from_url(url)
    to_name, table = server_of(engine.dialect.name).to_name, add_table(MetaData())
    storage = SQLAlchemyStorage(engine)
    storage.create_table()

    def fill(records: Iterable[SealedRecord]) -> None:
        for chunk in _chunks(records):
            rows = [
                {
                    "registration_id": to_name(record.registration_id),
                    "version": record.version,
                    "user_id": to_name(record.user_id or ""),
                    "due_at": record.due_at,
                    "document": record.document,
                }
                for record in chunk
            ]
            with engine.begin() as connection:
                connection.execute(insert(table), rows)
        with engine.begin() as connection:  # the servers do this themselves, but later
            connection.execute(
                text(f"ANALYZE {'' if url.startswith('postgresql') else 'TABLE '}{table.name}")
            )

    yield Place(storage, fill)
    engine.dispose()


def _chunks(records: Iterable[SealedRecord]) -> Iterator[list[SealedRecord]]:
    iterator = iter(records)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
