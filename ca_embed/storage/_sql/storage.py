"""Keeps records in PostgreSQL, MySQL or MariaDB. Several machines may share the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, MetaData

from ca_embed.storage._async_deadline import within
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._forks import ForkGate
from ca_embed.storage._sql.deadline import disconnect_after
from ca_embed.storage._sql.engine_lending import OwnEngine, SharedEngine, engine_per_loop
from ca_embed.storage._sql.engines import address_of, engine_from_url, server_of, translate_errors
from ca_embed.storage._sql.records import SQLRecords
from ca_embed.storage._sql.table import PREFIX, add_table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_TIME_LIMIT = 4.2  # seconds for one call in total

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SQLAlchemyStorage:
    """Keeps records in one table of PostgreSQL, MySQL or MariaDB.

    url_or_engine: `postgresql+psycopg://...` or `mysql+pymysql://...`, or your own engine. The pool of
        your own engine is shared, and you set its timeouts.
    table_prefix: the beginning of the table's name, before `registrations`.
    metadata: your own MetaData, if your migrations create the table.
    create_table: create the table if it does not exist. Otherwise call `create_table()` once, or create
        the table in a migration.

    A saved record is on the disk of the server. A server whose configuration may lose commits is refused.
    Raises ConfigurationError if the URL, the prefix or the kind of database is wrong.
    """

    def __init__(
        self,
        url_or_engine: str | URL | Engine,
        *,
        table_prefix: str = PREFIX,
        metadata: MetaData | None = None,
        create_table: bool = False,
    ) -> None:
        """Check the arguments. The storage connects when it is first used."""
        is_shared = isinstance(url_or_engine, Engine)
        engine = url_or_engine if isinstance(url_or_engine, Engine) else engine_from_url(url_or_engine)
        self._engine = SharedEngine(engine) if is_shared else OwnEngine(engine)
        self._records = SQLRecords(
            add_table(MetaData() if metadata is None else metadata, table_prefix),
            server_of(engine.dialect.name),
            create_table=create_table,
        )
        self._address = address_of(engine.url)
        self._gate = ForkGate()

    def __repr__(self) -> str:
        return f"SQLAlchemyStorage({self._address!r}, {self._records.table.fullname!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record with this id, or None if there is none."""
        return self._run(self._records.load, registration_id)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`; else return False."""
        return self._run(self._records.save, record)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if the stored version is `version`; else return False."""
        return self._run(self._records.delete, registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by`, earliest first, after the cursor."""
        return self._run(self._records.due, by, limit=limit, after=after)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records in the order of their ids, after the id `after`.

        With `user_id`, return only the records of this user.
        """
        return self._run(self._records.list, user_id=user_id, limit=limit, after=after)

    def create_table(self) -> None:
        """Create the table and its indexes if they are missing."""
        self._run(self._records.create_table)

    def close(self) -> None:
        """Close the connections, but not those of your own engine. The next call opens them again."""
        with self._gate.passing():
            self._engine.close()

    def _create_nothing(self) -> None:
        self._records.create_nothing()

    def _run(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        give_up = time.monotonic() + _TIME_LIMIT
        with (
            self._gate.passing(),
            translate_errors(self._records.server, self._address),
            self._engine.lend() as engine,
            engine.connect() as connection,
            disconnect_after(give_up - time.monotonic(), lambda: connection.connection.dbapi_connection),
        ):
            return work(connection, *args, **kwargs)


class AsyncSQLAlchemyStorage:
    """Keeps records in one table of PostgreSQL, MySQL or MariaDB, with an asynchronous engine.

    async_engine: your own engine. The storage uses its settings, but not its pool, because a connection
        belongs to one event loop. It keeps one pool for each loop.
    table_prefix: the beginning of the table's name, before `registrations`.
    metadata: your own MetaData, if your migrations create the table.
    create_table: create the table if it does not exist. Otherwise call `create_table()` once, or create
        the table in a migration.

    A saved record is on the disk of the server. A server whose configuration may lose commits is refused.
    Raises ConfigurationError if the prefix or the kind of database is wrong.
    """

    def __init__(
        self,
        async_engine: AsyncEngine,
        *,
        table_prefix: str = PREFIX,
        metadata: MetaData | None = None,
        create_table: bool = False,
    ) -> None:
        """Check the arguments. The storage connects when it is first used."""
        self._engines = engine_per_loop(async_engine)
        self._records = SQLRecords(
            add_table(MetaData() if metadata is None else metadata, table_prefix),
            server_of(async_engine.dialect.name),
            create_table=create_table,
        )
        self._address = address_of(async_engine.url)

    def __repr__(self) -> str:
        return f"AsyncSQLAlchemyStorage({self._address!r}, {self._records.table.fullname!r})"

    async def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        return await self._run(self._records.load, registration_id)

    async def save(self, record: SealedRecord) -> bool:
        """See `Storage.save`."""
        return await self._run(self._records.save, record)

    async def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage.delete`."""
        return await self._run(self._records.delete, registration_id, version)

    async def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage.due`."""
        return await self._run(self._records.due, by, limit=limit, after=after)

    async def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage.list`."""
        return await self._run(self._records.list, user_id=user_id, limit=limit, after=after)

    async def create_table(self) -> None:
        """Create the table and its indexes if they are missing."""
        await self._run(self._records.create_table)

    async def close(self) -> None:
        """Close the storage's connections. The next call opens them again."""
        await self._engines.close()

    def _create_nothing(self) -> None:
        self._records.create_nothing()

    async def _run(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        with translate_errors(self._records.server, self._address):
            return await within(_TIME_LIMIT, self._work(work, *args, **kwargs))

    async def _work(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        async with self._engines.lend() as engine, engine.connect() as connection:
            return await connection.run_sync(work, *args, **kwargs)
