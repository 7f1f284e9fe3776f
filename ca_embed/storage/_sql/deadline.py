"""Ends waiting for a server that neither answers nor hangs up."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from os import dup
from threading import Lock, Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


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


def _shut_down(connection: Connection) -> None:
    with suppress(Exception):  # whatever the driver raises, there is nothing left to shut down
        number = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=dup(number)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
