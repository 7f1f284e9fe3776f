"""Opens a SQLite database file safely, and lends connections to it."""

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
from ca_embed.storage._sqlite.schema import migrate

_MAX_IDLE = 8  # connections kept open between operations

_FileIdentity = tuple[int, int]

# Closing a file releases all locks that this process holds on it, also those of SQLite (a rule of POSIX).
# So no other thread may open the database while one creates the file.
_creation_lock = Lock()
_inherited: list[sqlite3.Connection] = []  # of the parent process: closing one would break it there


class SQLiteConnections:
    """Connections to one database file. Each is lent to one thread at a time.

    The locks of a SQLite connection belong to the process that opened it, so a child process must not use
    it. Idle connections are closed before a fork. If code in C forks without Python, the child ignores
    the connections that it has inherited.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path. A connection is opened when it is first needed."""
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
        """Lend a connection for the length of the block. It waits for locks until the deadline."""
        with self._gate.passing(), self._lent(deadline) as connection:
            yield connection

    @contextmanager
    def lend_to_write(self, deadline: float) -> Generator[sqlite3.Connection]:
        """Lend a connection for writing, to one thread at a time, because SQLite allows only one writer."""
        with self._gate.passing():
            if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise locked(self._path)
            try:
                with self._lent(deadline) as connection:
                    yield connection
            finally:
                self._writing.release()

    def close(self) -> None:
        """Close all connections. One that is lent is closed when it is returned."""
        with self._lock:
            self._closings += 1
            self._file = None
        self._close_idle()

    @contextmanager
    def _lent(self, deadline: float) -> Generator[sqlite3.Connection]:
        closings = self._closings
        connection = self._take_idle() or self._open(deadline)
        try:
            _wait_until(deadline, connection)
            yield connection
        except BaseException:
            connection.close()  # it may be inside a transaction, so it is not used again
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
            if closings == self._closings and len(self._idle) < _MAX_IDLE:
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
        """Raise if the file was deleted or replaced: a connection would still write to the old file."""
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


def _wait_until(deadline: float, connection: sqlite3.Connection) -> None:
    """Let the connection wait for locks until the deadline, and no longer."""
    milliseconds = max(0, round((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _identity(path: Path) -> _FileIdentity:
    status = path.stat()
    return status.st_dev, status.st_ino


def _create_private(path: Path) -> None:
    """Create the file with mode 0600 if it does not exist. SQLite gives -wal and -shm the same mode."""
    with _creation_lock:
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
        _wait_until(deadline, connection)
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, path: Path, deadline: float) -> None:
    """Switch to write-ahead logging. Repeat it, because SQLite does not always wait for the lock it needs."""
    while True:
        _wait_until(deadline, connection)
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
                    "SQLite has no write-ahead log on this file system, which may be a network drive: "
                    "move it to a local disk",
                )
            return
