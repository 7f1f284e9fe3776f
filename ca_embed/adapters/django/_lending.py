"""Lends Django's own connection to an operation, with a time limit, also after a fork."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from ca_embed.adapters.django._databases import database_of
from ca_embed.adapters.django._databases.base import Database
from ca_embed.errors import StorageUnavailable
from ca_embed.storage._sql.deadline import disconnect_after

_TIME_LIMIT = 4.5  # seconds for one operation in total
_CONNECT_TIME = 2.0  # seconds
_NO_ANSWER = f"it did not answer within {_TIME_LIMIT:g} seconds, or closed the connection"

_AT_ONCE = 8  # operations of a process; more would only wait for each other's locks and connections
_places = threading.BoundedSemaphore(_AT_ONCE)

_inherited: list[object] = []  # connections of the parent process: closing one would break it there


@contextmanager
def lend(alias: str) -> Generator[tuple[Any, Database, Callable[[], float]]]:
    """Lend this thread's connection, open, with its database and a function that returns the seconds left.

    Django closes connections at the end of a request, but a storage may be used in any thread. So a
    connection that was not open is closed afterwards.
    """
    give_up = time.monotonic() + _TIME_LIMIT
    with _place():
        yield from _lent(alias, give_up)


@contextmanager
def _place() -> Generator[None]:
    """Wait for a place among the operations of this process."""
    places = _places
    if not places.acquire(timeout=_TIME_LIMIT - _CONNECT_TIME):
        raise StorageUnavailable("too many operations of this process were waiting for it already; try again")
    try:
        yield
    finally:
        places.release()


def _lent(alias: str, give_up: float) -> Generator[tuple[Any, Database, Callable[[], float]]]:
    connection = connections[alias]
    database = database_of(connection)
    _set_inherited_aside(connection)
    with disconnect_after(give_up - time.monotonic(), lambda: connection.connection):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
            if connection.connection is not None and not connection.is_usable():
                connection.close()  # the server has closed it meanwhile
        was_open = connection.connection is not None
        if not was_open and give_up - time.monotonic() < _CONNECT_TIME:
            raise StorageUnavailable(_NO_ANSWER)  # to connect could take too long
        try:
            _open(connection, database)
            with _no_reconnection(connection):
                yield connection, database, lambda: give_up - time.monotonic()
        finally:
            if not was_open:
                connection.close()


def close_sqlite(alias: str) -> None:
    """Close the connection of this thread before a fork: a child must not use a file that SQLite has open."""
    connection = connections[alias]
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        connection.close()


def _open(connection: Any, database: Database) -> None:
    """Connect within the time limit. The options of the host come first."""
    settings = connection.settings_dict
    options = {**database.connect_options, **settings["OPTIONS"]}
    connection.settings_dict = {**settings, "OPTIONS": options}
    try:
        connection.ensure_connection()
    finally:
        connection.settings_dict = settings


@contextmanager
def _no_reconnection(connection: Any) -> Generator[None]:
    """Let nothing connect in the block. `atomic` would do it after a failed COMMIT, and wait for too long."""

    def refuse() -> None:
        raise connection.Database.OperationalError(_NO_ANSWER)

    connection.connect = refuse
    try:
        yield
    finally:
        del connection.connect


def _set_inherited_aside(connection: Any) -> None:
    if not connection.in_atomic_block and any(connection.connection is one for one in _inherited):
        connection.connection = None


def _begin_in_child() -> None:
    """Set the parent's connections aside, and forget the places that its threads had taken."""
    global _places  # noqa: PLW0603 (a child process has none of its parent's threads)
    _places = threading.BoundedSemaphore(_AT_ONCE)
    _inherited.extend(
        connection.connection
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
    )


if hasattr(os, "register_at_fork"):  # where a process can fork at all
    os.register_at_fork(after_in_child=_begin_in_child)
