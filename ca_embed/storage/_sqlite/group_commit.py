"""Lets the writes of a process that wait for the disk share one transaction, and so one flush.

Theory of operation
-------------------
One thread at a time writes. It is the leader, and no thread of its own: it is the caller of a `save`. A write
that finds no leader leads, alone, and waits for no one. Writes that come while the leader waits for the disk
queue up. When the leader is done, it makes the first of them the leader. That one takes those behind it into
its own transaction, commits it, and tells each of them its result. So:

- A write is reported as done only after the commit that it is part of.
- Each write is one conditional statement. One that does not find its version changes no row, and no other
  write is affected.
- If a statement or the commit fails, the transaction is rolled back, and each of its writes is done again, in
  a transaction of its own. So each gets its own result or its own error.
- If it is not known whether the commit took effect, no write is done again: it would meet its own row, and
  seem to have lost a race. All of them fail.
- A write waits for its turn until its deadline. Then it leaves the queue, and was not done. If it is part of
  a transaction that does not end, it gives up some time later. Then it may or may not have been done.
- A leader leads once, so it is not delayed by writes that come later.
- An exception that reaches a thread at any place (KeyboardInterrupt, a time limit that a signal enforces, the
  timeout of a greenlet) takes its write out of the queue, and passes on the lead if it has got it. Should a
  second one interrupt just that, the lead ends soon after the deadline of its write.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from contextlib import suppress
from threading import Lock

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._sqlite.connections import SQLiteConnections

MOST = 64  # writes in one transaction
_GRACE = 0.8  # seconds after its deadline that a write waits for the transaction that it is part of


class WaitedTooLong(Exception):
    """The write did not get its turn by its deadline, or its transaction did not end."""


class Interrupted(Exception):
    """The thread that led the transaction was interrupted. It may or may not have been committed."""


class _Write:
    """One statement, and what became of it."""

    __slots__ = (
        "alone",
        "changed",
        "deadline",
        "done",
        "gone",
        "leads",
        "problem",
        "statement",
        "values",
        "wake",
    )

    def __init__(self, statement: str, values: tuple[object, ...], deadline: float) -> None:
        self.statement, self.values, self.deadline = statement, values, deadline
        self.alone = False  # its transaction failed: it gets one of its own
        self.gone = False  # no thread waits for it any more
        self.leads = self.done = self.changed = False
        self.problem: Exception | None = None
        self.wake = Lock()  # taken until there is news for the thread that waits
        self.wake.acquire()


class _Turns:
    """Who writes, and who waits. A process that was forked begins with new ones."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = Lock()
        self.leader: _Write | None = None
        self.waiting: deque[_Write] = deque()


class GroupCommit:
    """Runs conditional statements, each durable when it returns. Any thread may call it."""

    def __init__(self, connections: SQLiteConnections) -> None:
        """Write with these connections."""
        self._connections = connections
        self._turns = _Turns()

    def run(self, statement: str, values: tuple[object, ...], deadline: float) -> bool:
        """Run one statement and return whether it changed a row. It is durable then.

        deadline: until when it may wait, by `time.monotonic`.
        Raises WaitedTooLong, Interrupted, sqlite3.Error, and StorageUnavailable.
        """
        turns = self._turns
        if turns.pid != os.getpid():
            turns = self._turns = _Turns()
        write = _Write(statement, values, deadline)
        try:
            with turns.lock:
                if turns.leader is None or _is_lost(turns.leader):
                    write.leads = True  # set first: if this thread is interrupted here, it passes on the lead
                    turns.leader = write
                else:
                    turns.waiting.append(write)
            if not write.leads:
                _await_news(turns, write)
            if write.leads:
                self._lead(turns, write)
            if write.problem is not None:
                raise write.problem
            return write.changed
        finally:
            if write.leads or not write.done:
                try:
                    _leave(turns, write)
                except BaseException:  # a signal came just now; without a leader, no one would write any more
                    _leave(turns, write)
                    raise

    def _lead(self, turns: _Turns, write: _Write) -> None:
        """Do the write, together with those that wait behind it."""
        others = [] if write.alone else _join(turns)
        if others:
            try:
                self._do_together([write, *others])
            except Exception:  # noqa: BLE001 (each meets its own error when it is done alone)
                write.alone = True
            finally:
                _release(turns, others)
        if not write.done:
            with self._connections.lend_to_write(write.deadline) as connection:
                changed = _run(connection, write)
            write.changed, write.done = changed, True

    def _do_together(self, writes: list[_Write]) -> None:
        """Do the writes in one transaction. If it raises, those that are not `done` have changed nothing."""
        unknown = False
        try:
            with self._connections.lend_to_write(writes[0].deadline) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    changed = [_run(connection, one) for one in writes]
                    unknown = True
                    connection.execute("COMMIT")
                except BaseException as error:
                    # An error of SQLite says that it failed. Any other may have come after the commit.
                    if isinstance(error, sqlite3.Error) or connection.in_transaction:
                        unknown = False
                    with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                        connection.execute("ROLLBACK")
                    raise
        except BaseException as error:
            if unknown:
                for one in writes:
                    one.problem, one.done = _for_each(error), True
            raise
        # Only now: lending ends with a check that the files are still the ones at the path.
        for one, result in zip(writes, changed, strict=True):
            one.changed, one.done = result, True


def _run(connection: sqlite3.Connection, write: _Write) -> bool:
    return connection.execute(write.statement, write.values).rowcount == 1


def _for_each(error: BaseException) -> Exception:
    """Return an error for one of many threads: a traceback must not be shared."""
    return StorageUnavailable(*error.args) if isinstance(error, StorageUnavailable) else Interrupted()


def _await_news(turns: _Turns, write: _Write) -> None:
    """Wait until another thread has done the write, or has made it the leader. Raises WaitedTooLong."""
    if write.wake.acquire(timeout=max(0.0, write.deadline - time.monotonic())):
        return
    with turns.lock:
        if write in turns.waiting:
            turns.waiting.remove(write)
            raise WaitedTooLong
    if not write.wake.acquire(timeout=_GRACE) or write.leads:
        raise WaitedTooLong


def _join(turns: _Turns) -> list[_Write]:
    """Take those that wait out of the queue, to be done together with the leader's write."""
    joined: list[_Write] = []
    with turns.lock:
        while turns.waiting and len(joined) < MOST - 1 and not turns.waiting[0].alone:
            joined.append(turns.waiting.popleft())
    return joined


def _release(turns: _Turns, others: list[_Write]) -> None:
    """Wake those whose write is done. Put the others back in front, each to be done alone."""
    with turns.lock:
        for one in reversed(others):
            if one.done:
                one.wake.release()
            elif not one.gone:
                one.alone = True
                turns.waiting.appendleft(one)


def _is_lost(leader: _Write) -> bool:
    """Tell whether a write leads longer than it may. If it is only slow, SQLite keeps two leaders apart."""
    return time.monotonic() > leader.deadline + _GRACE


def _leave(turns: _Turns, write: _Write) -> None:
    """Let no one do a write that no thread waits for, and pass on its lead. It may be called again."""
    with turns.lock:
        if not write.done:
            write.gone = True
            with suppress(ValueError):
                turns.waiting.remove(write)
        if turns.leader is write:
            _pass_on(turns)


def _pass_on(turns: _Turns) -> None:
    """Make the first that waits the leader. If no one waits, the next write will lead."""
    if not turns.waiting:
        turns.leader = None
        return
    following = turns.waiting[0]
    following.leads = True
    turns.leader = following
    del turns.waiting[0]  # not by a call: Python looks for signals after calls, and it must be woken first
    following.wake.release()
