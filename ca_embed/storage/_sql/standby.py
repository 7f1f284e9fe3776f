"""Finds out whether PostgreSQL gave up waiting for its synchronous standby.

If the wait is cancelled, the server commits locally and answers COMMIT as if nothing was wrong. Only a
warning, with the SQLSTATE 01000, tells that the standby may not have the transaction.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ca_embed.errors import StorageUnavailable

_WARNING = "01000"


@contextmanager
def require_standby(driver_connection: Any, standby_names: str) -> Generator[None]:
    """Commit in the block. Raises StorageUnavailable if the standby may not have the transaction.

    driver_connection: a connection of psycopg or asyncpg. Another driver does not show warnings, so it is
        refused if the server has a synchronous standby.
    standby_names: the server's setting `synchronous_standby_names`.
    """
    warnings: list[str | None] = []
    if hasattr(driver_connection, "add_notice_handler"):
        with _noted_by_psycopg(driver_connection, warnings):
            yield
    elif hasattr(driver_connection, "add_log_listener"):
        with _noted_by_asyncpg(driver_connection, warnings):
            yield
    elif standby_names.strip():
        raise StorageUnavailable(
            "the server has a synchronous standby, and this driver does not show whether a commit reached "
            "it: use psycopg 3 or asyncpg"
        )
    else:
        yield
    if _WARNING in warnings:
        raise StorageUnavailable(
            "the wait for the synchronous standby was cancelled, so the standby may not have the record: "
            "check whether it is connected (pg_stat_replication)"
        )


@contextmanager
def _noted_by_psycopg(connection: Any, warnings: list[str | None]) -> Generator[None]:
    def note(diagnostic: Any) -> None:
        warnings.append(diagnostic.sqlstate)

    connection.add_notice_handler(note)
    try:
        yield
    finally:
        connection.remove_notice_handler(note)


@contextmanager
def _noted_by_asyncpg(connection: Any, warnings: list[str | None]) -> Generator[None]:
    """Note the warnings. The loop calls the listener before it resumes the task that awaits COMMIT."""

    def note(_: Any, message: Any) -> None:
        warnings.append(message.sqlstate)

    connection.add_log_listener(note)
    try:
        yield
    finally:
        connection.remove_log_listener(note)
