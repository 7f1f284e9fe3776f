"""Opens a SQLite database file safely and lends out connections to it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from ca_embed.storage._forks import ForkGate
from ca_embed.storage._sqlite.errors import is_locked, locked, unavailable
from ca_embed.storage._sqlite.schema import bring_up_to_date

MOST_IDLE = 8  # connections kept open between operations

_FileIdentity = tuple[int, int]

_creating = Lock()  # closing a file drops this process's locks on it, so nobody may hold one meanwhile
_inherited: list[sqlite3.Connection] = []  # belong to the parent process; to close one would harm it


class SQLiteConnections:
    """Connections to one database file, each lent to one thread at a time.

    The locks of a SQLite connection belong to the process that opened it, so none is carried over a
    fork: they are closed before, or, where the host forks without telling Python, left alone.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened until somebody asks."""
        self._path = path
        self._gate = ForkGate(before_fork=self._close_idle)
        self._lock = Lock()
        self._writing = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._pid = os.getpid()
        self._file: _FileIdentity | None = None
        self._closings = 0

    @contextmanager
    def lend(self, deadline: float) -> Generator[sqlite3.Connection]:
        """Lend a connection that waits for the locks of others until the deadline."""
        with self._gate.passing(), self._lent(deadline) as connection:
            yield connection

    @contextmanager
    def lend_to_write(self, deadline: float) -> Generator[sqlite3.Connection]:
        """Lend one to a writer. SQLite has one at a time; the threads of a process take turns."""
        with self._gate.passing():
            if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise locked(self._path)
            try:
                with self._lent(deadline) as connection:
                    yield connection
            finally:
                self._writing.release()

    def close(self) -> None:
        """Close all connections, those that are lent as soon as they come back."""
        with self._lock:
            self._closings += 1
            self._file = None
        self._close_idle()

    @contextmanager
    def _lent(self, deadline: float) -> Generator[sqlite3.Connection]:
        closings = self._closings
        connection = self._take_idle() or self._open(deadline)
        try:
            wait_until(deadline, connection)
            yield connection
        except BaseException:
            connection.close()  # in whatever state it was left, nobody gets it again
            raise
        self._give_back(connection, closings)

    def _take_idle(self) -> sqlite3.Connection | None:
        if self._file is not None:
            self._require_same_file(self._file)
        with self._lock:
            if self._pid != os.getpid():
                _inherited.extend(self._idle)
                self._idle.clear()
                self._pid = os.getpid()
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: sqlite3.Connection, closings: int) -> None:
        with self._lock:
            if closings == self._closings and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _open(self, deadline: float) -> sqlite3.Connection:
        if self._file is None:
            _create_private(self._path)
        connection = _connect(self._path, deadline)
        with self._lock:
            self._file = self._file or _identity(self._path)
        return connection

    def _require_same_file(self, file: _FileIdentity) -> None:
        """A connection goes on writing to a file that was deleted, and what it writes is lost."""
        try:
            same = _identity(self._path) == file
        except FileNotFoundError:
            raise unavailable(
                self._path,
                "it was deleted while it was in use: put the file back, or restart the application to "
                "begin with an empty one",
            ) from None
        if not same:
            raise unavailable(
                self._path,
                "it was replaced while it was in use: restart the application to go on with the new file",
            )


def wait_until(deadline: float, connection: sqlite3.Connection) -> None:
    """Let the connection wait for the locks of others until the deadline, and no longer."""
    milliseconds = max(0, round((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _identity(path: Path) -> _FileIdentity:
    status = path.stat()
    return status.st_dev, status.st_ino


def _create_private(path: Path) -> None:
    """Create the file for its owner alone if it does not exist; SQLite gives -wal and -shm the same mode."""
    with _creating:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return


def _connect(path: Path, deadline: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        _use_wal(connection, path, deadline)
        connection.execute("PRAGMA synchronous = FULL")
        wait_until(deadline, connection)
        bring_up_to_date(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, path: Path, deadline: float) -> None:
    """Switch to write-ahead logging. SQLite does not always wait for the lock that this takes."""
    while True:
        wait_until(deadline, connection)
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            if mode != "wal":
                raise unavailable(
                    path,
                    "SQLite offers no write-ahead log on this file system, as on network drives: "
                    "move it to a local disk",
                )
            return
