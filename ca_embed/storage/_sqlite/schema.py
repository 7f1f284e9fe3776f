"""The table of the SQLite storage, and the migrations from older releases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ca_embed.storage._existing import NO_STORAGE
from ca_embed.storage._sqlite.errors import unavailable

_APPLICATION_ID = 0x63614562  # "caEb": marks the database as one of ca_embed

_MIGRATIONS: tuple[tuple[str, ...], ...] = (  # each leads to the next schema version
    (
        """
        CREATE TABLE registrations (
            registration_id TEXT NOT NULL PRIMARY KEY CHECK (typeof(registration_id) = 'text'),
            version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
            user_id TEXT CHECK (typeof(user_id) IN ('text', 'null')),
            due_at REAL CHECK (typeof(due_at) IN ('real', 'null')),
            document BLOB NOT NULL CHECK (typeof(document) = 'blob')
        )
        """,
        """
        CREATE INDEX registrations_by_due ON registrations (due_at, registration_id)
        WHERE due_at IS NOT NULL
        """,
        """
        CREATE INDEX registrations_by_user ON registrations (user_id, registration_id)
        WHERE user_id IS NOT NULL
        """,
    ),
)


def migrate(connection: sqlite3.Connection, path: Path, *, creates: bool = True) -> None:
    """Run the missing migrations in one transaction. If several processes start, only one runs them.

    creates: create the table if it does not exist. Otherwise raise StorageUnavailable.
    """
    version = _version(connection, path)
    if version == len(_MIGRATIONS):
        return
    if not version and not creates:
        raise unavailable(path, NO_STORAGE)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for migration in _MIGRATIONS[_read_version(connection, path) :]:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StorageUnavailable for the database of another program or of a newer release."""
    _version(connection, path)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    with connection:
        connection.execute("BEGIN")
        return _read_version(connection, path)


def _read_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version. Refuse the database of another program or of a newer release."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (filled,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()
    if application_id != _APPLICATION_ID and (application_id or version or filled):
        raise unavailable(path, "it belongs to another program: give ca_embed a file of its own")
    if version > len(_MIGRATIONS):
        raise unavailable(
            path,
            f"it has schema {version}, and this release knows none newer than {len(_MIGRATIONS)}: install "
            "the release of ca_embed that wrote it, or a later one",
        )
    return int(version)
