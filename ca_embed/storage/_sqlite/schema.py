"""The tables of the SQLite storage, and how an older database becomes a newer one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ca_embed.storage._sqlite.errors import unavailable

APPLICATION_ID = 0x63614562  # "caEb": how `file` and we know that a database is ours

STEPS: tuple[tuple[str, ...], ...] = (  # each takes a database to the next schema version
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


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or take the steps that the database has not taken yet; one process does it."""
    if _version(connection, path) == len(STEPS):
        return
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for step in STEPS[_read_version(connection, path) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(STEPS)}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    with connection:
        connection.execute("BEGIN")
        return _read_version(connection, path)


def _read_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return how many steps the database has taken; refuse one that is not ours, or newer than we know."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (filled,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_master)").fetchone()
    if application_id != APPLICATION_ID and (application_id or version or filled):
        raise unavailable(path, "it belongs to another program: give ca_embed a file of its own")
    if version > len(STEPS):
        raise unavailable(
            path,
            f"it has schema {version}, and this release knows none newer than {len(STEPS)}: install the "
            "release of ca_embed that wrote it, or a later one",
        )
    return int(version)
