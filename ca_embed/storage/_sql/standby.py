"""Finds out whether PostgreSQL gave up waiting for its synchronous standby.

If the wait is cancelled, the server commits locally and answers COMMIT as if nothing was wrong. Only a
warning, with the SQLSTATE 01000, tells that the standby may not have the transaction.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from ca_embed.errors import StorageUnavailable

_WARNING = "01000"


def refuse_blind_driver(driver_connection: Any, standby_names: str) -> None:
    """Refuse a driver that does not show warnings if the server has a synchronous standby.

    standby_names: the server's setting `synchronous_standby_names`.
    """
    if standby_names.strip() and not (_is_psycopg(driver_connection) or _is_asyncpg(driver_connection)):
        raise StorageUnavailable(
            "the server has a synchronous standby, and this driver does not show whether a commit reached "
            "it: use psycopg 3 or asyncpg"
        )


@contextmanager
def require_standby(driver_connection: Any) -> Generator[list[str | None]]:
    """Commit in the block. Raises StorageUnavailable if the standby may not have the transaction.

    Yields the SQLSTATEs of the warnings so far. A caller that does more than COMMIT in the block clears
    them before it commits.
    """
    warnings: list[str | None] = []
    with ExitStack() as stack:
        if _is_psycopg(driver_connection):
            stack.enter_context(_noted_by_psycopg(driver_connection, warnings))
        elif _is_asyncpg(driver_connection):
            stack.enter_context(_noted_by_asyncpg(driver_connection, warnings))
        yield warnings
    if _WARNING in warnings:
        raise StorageUnavailable(
            "the wait for the synchronous standby was cancelled, so the standby may not have the record: "
            "check whether it is connected (pg_stat_replication)"
        )


def _is_psycopg(driver_connection: Any) -> bool:
    return hasattr(driver_connection, "add_notice_handler")


def _is_asyncpg(driver_connection: Any) -> bool:
    return hasattr(driver_connection, "add_log_listener")


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
