"""Storages keep the registrations: the protocol `Storage`, and the storages that come with ca_embed.

A storage class is imported when it is first used: `import ca_embed.storage` imports no database driver.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from ca_embed._extras import extra
from ca_embed.storage._base import AsyncStorage, DueCursor, SealedRecord, Storage

if TYPE_CHECKING:
    from ca_embed.storage._filesystem.storage import FilesystemStorage
    from ca_embed.storage._memory import MemoryStorage
    from ca_embed.storage._redis.storage import AsyncRedisStorage, RedisStorage
    from ca_embed.storage._sql.storage import AsyncSQLAlchemyStorage, SQLAlchemyStorage
    from ca_embed.storage._sql.table import add_table
    from ca_embed.storage._sqlite.storage import SQLiteStorage

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
    "add_table",
]

_MODULES = {  # of the classes and functions that are imported when they are first used
    "AsyncRedisStorage": "_redis.storage",
    "AsyncSQLAlchemyStorage": "_sql.storage",
    "FilesystemStorage": "_filesystem.storage",
    "MemoryStorage": "_memory",
    "RedisStorage": "_redis.storage",
    "SQLAlchemyStorage": "_sql.storage",
    "SQLiteStorage": "_sqlite.storage",
    "add_table": "_sql.table",
}
_EXTRAS = {"_redis.storage": "redis", "_sql.storage": "sqlalchemy", "_sql.table": "sqlalchemy"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    with extra(_EXTRAS[module], user=f"{__name__}.{name}") if module in _EXTRAS else nullcontext():
        return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
