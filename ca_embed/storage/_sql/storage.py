"""Keeps records in PostgreSQL, MySQL or MariaDB, by SQLAlchemy, which many machines may share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, MetaData

from ca_embed.storage._async_deadline import within
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._forks import ForkGate
from ca_embed.storage._sql.deadline import cut_off_after
from ca_embed.storage._sql.engines import engine_from_url, explained, place_of, server_of
from ca_embed.storage._sql.leases import OwnEngine, SharedEngine, engine_for_each_loop
from ca_embed.storage._sql.records import SQLRecords
from ca_embed.storage._sql.table import PREFIX, add_table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

LONGEST = 4.2  # seconds for one call, all in all

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SQLAlchemyStorage:
    """Keeps records in one table of PostgreSQL, MySQL or MariaDB.

    url_or_engine: `postgresql+psycopg://...` or `mysql+pymysql://...`, or your own engine, whose pool
        is shared and whose timeouts are yours.
    table_prefix: what the table's name begins with, before `registrations`.
    metadata: your own MetaData, if your migrations are to know the table.
    create_table: create the table when it is found missing. Otherwise call `create_table()` once, or
        have a migration do it.

    What is saved is on the server's disk: a server that is set to be careless is refused. Raises
    ConfigurationError.
    """

    def __init__(
        self,
        url_or_engine: str | URL | Engine,
        *,
        table_prefix: str = PREFIX,
        metadata: MetaData | None = None,
        create_table: bool = False,
    ) -> None:
        """Nothing is opened until somebody asks."""
        is_shared = isinstance(url_or_engine, Engine)
        engine = url_or_engine if isinstance(url_or_engine, Engine) else engine_from_url(url_or_engine)
        self._engine = SharedEngine(engine) if is_shared else OwnEngine(engine)
        self._records = SQLRecords(
            add_table(MetaData() if metadata is None else metadata, table_prefix),
            server_of(engine.dialect.name),
            create_table=create_table,
        )
        self._place = place_of(engine.url)
        self._gate = ForkGate()

    def __repr__(self) -> str:
        return f"SQLAlchemyStorage({self._place!r}, {self._records.table.fullname!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        return self._run(self._records.load, registration_id)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        return self._run(self._records.save, record)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        return self._run(self._records.delete, registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by then, earliest first, after the cursor."""
        return self._run(self._records.due, by, limit=limit, after=after)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id, after that id; of one user, if one is named."""
        return self._run(self._records.list, user_id=user_id, limit=limit, after=after)

    def create_table(self) -> None:
        """Create the table and its indices where they are missing."""
        self._run(self._records.create_table)

    def close(self) -> None:
        """Close connections, unless the engine is yours. The next call opens them again."""
        with self._gate.passing():
            self._engine.close()

    def _run(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        give_up = time.monotonic() + LONGEST
        with (
            self._gate.passing(),
            explained(self._records.server, self._place),
            self._engine.lent() as engine,
            engine.connect() as connection,
            cut_off_after(give_up - time.monotonic(), connection),
        ):
            return work(connection, *args, **kwargs)


class AsyncSQLAlchemyStorage:
    """Keeps records in one table of PostgreSQL, MySQL or MariaDB, by an asynchronous engine.

    async_engine: yours. Its settings are used; its pool is not, since the connections of a pool
        belong to one event loop: the storage keeps a pool of its own for each loop it is used from.

    The other arguments and the promises are those of `SQLAlchemyStorage`.
    """

    def __init__(
        self,
        async_engine: AsyncEngine,
        *,
        table_prefix: str = PREFIX,
        metadata: MetaData | None = None,
        create_table: bool = False,
    ) -> None:
        """Nothing is opened until somebody asks."""
        self._engines = engine_for_each_loop(async_engine)
        self._records = SQLRecords(
            add_table(MetaData() if metadata is None else metadata, table_prefix),
            server_of(async_engine.dialect.name),
            create_table=create_table,
        )
        self._place = place_of(async_engine.url)

    def __repr__(self) -> str:
        return f"AsyncSQLAlchemyStorage({self._place!r}, {self._records.table.fullname!r})"

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
        """Create the table and its indices where they are missing."""
        await self._run(self._records.create_table)

    async def close(self) -> None:
        """Close the storage's connections. The next call opens them again."""
        await self._engines.close()

    async def _run(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        with explained(self._records.server, self._place):
            return await within(LONGEST, self._work(work, *args, **kwargs))

    async def _work(
        self, work: Callable[Concatenate[Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        async with self._engines.lent() as engine, engine.connect() as connection:
            return await connection.run_sync(work, *args, **kwargs)
