"""Where registrations are kept: the protocol, and the storages that come with ca_embed.

A backend is imported when it is asked for: `import ca_embed.storage` opens no database driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ca_embed.storage.base import AsyncStorage, DueCursor, SealedRecord, Storage

if TYPE_CHECKING:
    from ca_embed.storage.bridge import SyncBridge, as_sync
    from ca_embed.storage.checks import check_storage
    from ca_embed.storage.filesystem import FilesystemStorage
    from ca_embed.storage.memory import MemoryStorage
    from ca_embed.storage.redis import AsyncRedisStorage, RedisStorage
    from ca_embed.storage.sql_table import add_table
    from ca_embed.storage.sqlalchemy import AsyncSQLAlchemyStorage, SQLAlchemyStorage
    from ca_embed.storage.sqlite import SQLiteStorage
    from ca_embed.storage.urls import storage_from_url

__all__ = [
    "AsyncRedisStorage",
    "AsyncSQLAlchemyStorage",
    "AsyncStorage",
    "DueCursor",
    "FilesystemStorage",
    "MemoryStorage",
    "RedisStorage",
    "SQLAlchemyStorage",
    "SQLiteStorage",
    "SealedRecord",
    "Storage",
    "SyncBridge",
    "add_table",
    "as_sync",
    "check_storage",
    "storage_from_url",
]

_HOMES = {
    "AsyncRedisStorage": "redis",
    "AsyncSQLAlchemyStorage": "sqlalchemy",
    "FilesystemStorage": "filesystem",
    "MemoryStorage": "memory",
    "RedisStorage": "redis",
    "SQLAlchemyStorage": "sqlalchemy",
    "SQLiteStorage": "sqlite",
    "SyncBridge": "bridge",
    "add_table": "sql_table",
    "as_sync": "bridge",
    "check_storage": "checks",
    "storage_from_url": "urls",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
