"""Opens the asynchronous storages, also in the other processes of the contract suite."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from ca_embed.storage.sqlalchemy import AsyncSQLAlchemyStorage

TIMEOUTS: dict[str, dict[str, Any]] = {
    "postgresql+psycopg": {"connect_timeout": 2},
    "postgresql+asyncpg": {"timeout": 2},
    "mysql+asyncmy": {"connect_timeout": 2},
}


def open_async(url: str, driver: str, table_prefix: str) -> AsyncSQLAlchemyStorage:
    """Open a storage with an engine as a host application may have it."""
    url = f"{driver}:{url.partition(':')[2]}"
    engine = create_async_engine(url, connect_args=TIMEOUTS[driver], pool_timeout=4, max_overflow=15)
    return AsyncSQLAlchemyStorage(engine, table_prefix=table_prefix, create_table=True)
