"""Opens a SQLite database file safely, and lends connections to it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Lock
from weakref import WeakSet

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._existing import NO_STORAGE
from ca_embed.storage._forks import ForkGate
from ca_embed.storage._sqlite import open_files
from ca_embed.storage._sqlite.errors import LOCK_WAIT, is_locked, unavailable
from ca_embed.storage._sqlite.open_files import COMPANIONS, DATABASE, OpenFiles
from ca_embed.storage._sqlite.schema import migrate, refuse_foreign

_MAX_IDLE = 8  # connections kept open between operations

# Closing a file releases all locks that this process holds on it, also those of SQLite (a rule of POSIX).
# So no other thread may open the database while one creates the file.
_creation_lock = Lock()
_inherited: list[_Connection] = []  # of the parent process: closing one would break it there


class _Connection(sqlite3.Connection):
    """A connection that can be referred to weakly."""


class SQLiteConnections:
    """Connections to one database file. Each is lent to one thread at a time.

    The locks of a SQLite connection belong to the process that opened it, so a child process must not use
    it. Idle connections are closed before a fork. If code in C forks without Python, the child ignores
    the connections that it has inherited.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path. A connection is opened when it is first needed."""
        self.creates = True  # the file and the table, if they are missing
        self._path = path
        self._gate = ForkGate(before_fork=self._close_idle)
        self._lock = Lock()
        self._idle: list[_Connection] = []
        self._pid = os.getpid()
        # Idle and lent. Not a number: a signal may end a thread's block at any place, and Python then closes
        # the connection, without a word to us.
        self._open_ones: WeakSet[_Connection] = WeakSet()
        self._files: OpenFiles = {}
        self._closings = 0

    def passing_gate(self) -> AbstractContextManager[None]:
        """Let no fork happen during the block."""
        return self._gate.passing()

    def lend(self, deadline: float) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection for reading in the block. It waits for locks until the deadline."""
        return _Loan(self, deadline, self._gate.passing())

    def lend_to_write(self, deadline: float) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection for writing in the block, which must be inside `passing_gate`.

        Nothing is written if a file of the database was deleted or replaced.
        """
        self._require_same_files()
        return _Loan(self, deadline)

    def close(self) -> None:
        """Close all connections. One that is lent is closed when it is returned."""
        with self._lock:
            self._closings += 1
            self._files = {}
        self._close_idle()

    def _take_idle(self) -> _Connection | None:
        with self._lock:
            if self._pid != os.getpid():
                _inherited.extend(self._idle)
                self._idle.clear()
                self._pid = os.getpid()
                self._open_ones = WeakSet()
                self._forget_companions()
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: _Connection, closings: int) -> None:
        with self._lock:
            if closings == self._closings and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        self._close_one(connection)

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._close_one(connection)

    def _close_one(self, connection: _Connection) -> None:
        with self._lock:
            self._open_ones.discard(connection)
            if not any(self._open_ones) and self._companions_are_same():
                self._forget_companions()  # with its last connection, SQLite may remove them
        connection.close()

    def _open(self, deadline: float) -> _Connection:
        if DATABASE not in self._files:
            self._create_or_find()
        connection = _connect(self._path, deadline, creates=self.creates)
        with self._lock:
            if not any(self._open_ones):  # Python may have closed the last one meanwhile
                self._forget_companions()
            self._open_ones.add(connection)
        try:
            with self._lock:
                # The connections that are open already determine which files are the right ones.
                self._files = open_files.identify(self._path, (DATABASE, *COMPANIONS)) | self._files
            self._require_same_files()
        except BaseException:
            self._close_one(connection)
            raise
        return connection

    def _create_or_find(self) -> None:
        if self.creates:
            _create_private(self._path)
        elif not self._path.exists() or self._path.stat().st_size == 0:
            raise unavailable(self._path, NO_STORAGE)

    def _require_same_files(self) -> None:
        """Raise if a file was deleted or replaced: a connection would still write to the old file."""
        try:
            open_files.require_same(self._path, self._files)
        except StorageUnavailable:
            if self._has_open_ones():
                self._save_deleted_log()
                raise
            self._forget_companions()  # Python has closed the last connection, and so SQLite removed them
            open_files.require_same(self._path, self._files)

    def _has_open_ones(self) -> bool:
        with self._lock:
            return any(self._open_ones)  # bool() would count one that Python has closed just now

    def _save_deleted_log(self) -> None:
        """Write into the database what only the deleted write-ahead log has. Records are not lost then."""
        if not open_files.is_log_deleted(self._path):
            return
        with self._lock, suppress(sqlite3.Error):
            for connection in self._idle[:1]:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _companions_are_same(self) -> bool:
        companions = {ending: self._files[ending] for ending in COMPANIONS if ending in self._files}
        try:
            open_files.require_same(self._path, companions)
        except (StorageUnavailable, OSError):
            return False
        return True

    def _forget_companions(self) -> None:
        self._files = {DATABASE: self._files[DATABASE]} if DATABASE in self._files else {}


class _Loan:
    """A connection for the length of a block."""

    __slots__ = ("_closings", "_connection", "_connections", "_deadline", "_files", "_gate", "_shortened")

    def __init__(
        self,
        connections: SQLiteConnections,
        deadline: float,
        gate: AbstractContextManager[None] | None = None,
    ) -> None:
        """gate: to pass first, if the caller has not."""
        self._connections, self._deadline, self._gate = connections, deadline, gate

    def __enter__(self) -> sqlite3.Connection:
        if self._gate is None:
            return self._take()
        self._gate.__enter__()
        try:
            return self._take()
        except BaseException:
            self._gate.__exit__(None, None, None)
            raise

    def __exit__(self, kind: type[BaseException] | None, *_raised: object) -> None:
        try:
            self._return(failed=kind is not None)
        finally:
            if self._gate is not None:
                self._gate.__exit__(None, None, None)

    def _take(self) -> sqlite3.Connection:
        connections = self._connections
        self._closings = connections._closings
        self._connection = connections._take_idle() or connections._open(self._deadline)
        self._files = connections._files
        # Connections wait LOCK_WAIT unless told otherwise. Telling each time would cost more than reading.
        self._shortened = self._deadline - time.monotonic() < LOCK_WAIT - 0.1
        try:
            if self._shortened:
                _wait_until(self._deadline, self._connection)
        except BaseException:
            connections._close_one(self._connection)
            raise
        return self._connection

    def _return(self, *, failed: bool) -> None:
        connections = self._connections
        if failed:
            connections._close_one(self._connection)  # it may be inside a transaction: not used again
            return
        try:
            if self._shortened:
                _wait_as_usual(self._connection)
        except BaseException:
            connections._close_one(self._connection)
            raise
        try:
            # What was read from a file that is gone does not count, and a commit into it is not acknowledged.
            open_files.require_same(connections._path, self._files)
        except StorageUnavailable:
            connections._give_back(self._connection, self._closings)
            connections._save_deleted_log()
            raise
        except BaseException:
            connections._close_one(self._connection)
            raise
        connections._give_back(self._connection, self._closings)


def _wait_as_usual(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(LOCK_WAIT * 1000)}")


def _wait_until(deadline: float, connection: sqlite3.Connection) -> None:
    """Let the connection wait for locks until the deadline, and no longer."""
    milliseconds = max(0, round((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _create_private(path: Path) -> None:
    """Create the file with mode 0600 if it does not exist. SQLite gives -wal and -shm the same mode."""
    with _creation_lock:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return


def _connect(path: Path, deadline: float, *, creates: bool) -> _Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        factory=_Connection,
    )
    try:
        _wait_until(deadline, connection)
        refuse_foreign(connection, path)  # before anything changes the file
        _use_wal(connection, path, deadline)
        connection.execute("PRAGMA synchronous = FULL")
        _wait_until(deadline, connection)
        migrate(connection, path, creates=creates)
        _wait_as_usual(connection)
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
