"""Ends waiting for a server that neither answers nor hangs up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from os import dup
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection

_T = TypeVar("_T")

_abandoned: set[asyncio.Task[Any]] = set()  # asyncio itself would let them be collected half way


@contextmanager
def cut_off_after(seconds: float, connection: Connection) -> Generator[None]:
    """Shut the connection's socket down after that time, so that a driver which waits for ever stops.

    psycopg has no such limit of its own. A driver that does not tell its socket, as PyMySQL, has one:
    `read_timeout`.
    """
    if not hasattr(connection.connection.dbapi_connection, "fileno"):
        yield
        return
    lock, over = Lock(), False

    def cut_off() -> None:
        with lock:
            if not over:
                _shut_down(connection)

    timer = Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Await the work, or raise TimeoutError after that time.

    Unlike `asyncio.timeout`, it does not wait for the work to end once it is cancelled: a driver may
    use that moment to ask the server, which does not answer, to stop.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_bury)
    task.cancel()


def _bury(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio would log that nobody did


def _shut_down(connection: Connection) -> None:
    with suppress(Exception):  # whatever the driver raises, there is nothing left to shut down
        number = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=dup(number)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
