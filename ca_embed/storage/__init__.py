"""Where registrations are kept: the protocol, and the storages that come with ca_embed.

A backend is imported when it is asked for: `import ca_embed.storage` opens no database driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ca_embed.storage._base import AsyncStorage, DueCursor, SealedRecord, Storage

if TYPE_CHECKING:
    from ca_embed.storage._bridge import SyncBridge, as_sync
    from ca_embed.storage._checks import check_storage
    from ca_embed.storage._filesystem.storage import FilesystemStorage
    from ca_embed.storage._memory import MemoryStorage
    from ca_embed.storage._redis.storage import AsyncRedisStorage, RedisStorage
    from ca_embed.storage._sql.storage import AsyncSQLAlchemyStorage, SQLAlchemyStorage
    from ca_embed.storage._sql.table import add_table
    from ca_embed.storage._sqlite.storage import SQLiteStorage
    from ca_embed.storage._urls import storage_from_url

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
    "AsyncRedisStorage": "_redis.storage",
    "AsyncSQLAlchemyStorage": "_sql.storage",
    "FilesystemStorage": "_filesystem.storage",
    "MemoryStorage": "_memory",
    "RedisStorage": "_redis.storage",
    "SQLAlchemyStorage": "_sql.storage",
    "SQLiteStorage": "_sqlite.storage",
    "SyncBridge": "_bridge",
    "add_table": "_sql.table",
    "as_sync": "_bridge",
    "check_storage": "_checks",
    "storage_from_url": "_urls",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
