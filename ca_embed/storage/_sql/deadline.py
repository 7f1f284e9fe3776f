"""A time limit for waiting for a server that neither answers nor closes the connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from os import dup
from threading import Lock, Timer
from typing import Any


@contextmanager
def disconnect_after(seconds: float, driver_connection: Callable[[], Any]) -> Generator[None]:
    """Shut down the socket of the connection if the block takes longer, so that the driver stops waiting.

    psycopg needs this, because it has no time limit for an answer. So does PyMySQL without `read_timeout`.

    driver_connection: returns the driver's connection. It is called when the time is up, because the block
        may have connected again. Nothing is done if the connection has no socket.
    """
    lock, finished = Lock(), False

    def disconnect() -> None:
        with lock:
            if not finished:
                _shut_down(driver_connection)

    timer = Timer(seconds, disconnect)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            finished = True
        timer.cancel()


def _shut_down(driver_connection: Callable[[], Any]) -> None:
    with suppress(Exception):  # any error of the driver means that no socket is left to shut down
        connection = driver_connection()
        owner = connection if hasattr(connection, "fileno") else connection._sock  # PyMySQL's
        with socket.socket(fileno=dup(owner.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
