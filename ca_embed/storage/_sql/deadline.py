"""A time limit for waiting for a server that neither answers nor closes the connection."""

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
def disconnect_after(seconds: float, connection: Connection) -> Generator[None]:
    """Shut down the socket of the connection if the block takes longer, so that the driver stops waiting.

    psycopg needs this, because it has no time limit for an answer. PyMySQL does not show its socket, so
    nothing is done for it: it has a time limit, `read_timeout`.
    """
    if not hasattr(connection.connection.dbapi_connection, "fileno"):
        yield
        return
    lock, finished = Lock(), False

    def disconnect() -> None:
        with lock:
            if not finished:
                _shut_down(connection)

    timer = Timer(seconds, disconnect)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            finished = True
        timer.cancel()


def _shut_down(connection: Connection) -> None:
    with suppress(Exception):  # any error of the driver means that no socket is left to shut down
        number = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=dup(number)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
