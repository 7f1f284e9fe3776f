"""The databases of DjangoStorage."""

from __future__ import annotations

from typing import Any

from ca_embed.adapters.django._databases.base import Database
from ca_embed.adapters.django._databases.mysql import MySQL
from ca_embed.adapters.django._databases.postgresql import PostgreSQL
from ca_embed.adapters.django._databases.sqlite import SQLite
from ca_embed.errors import StorageUnavailable

_DATABASES: dict[str, type[Database]] = {"postgresql": PostgreSQL, "mysql": MySQL, "sqlite": SQLite}


def database_of(connection: Any) -> Database:
    """Return the database behind a connection of Django. Raises StorageUnavailable for an unknown kind."""
    if connection.vendor not in _DATABASES:
        raise StorageUnavailable(
            f"DjangoStorage keeps records in PostgreSQL, MySQL, MariaDB or SQLite, not in {connection.vendor}"
        )
    return _DATABASES[connection.vendor]()
