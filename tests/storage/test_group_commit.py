"""Writes of one process share a commit, and each gets its own result."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import SQLiteStorage
from ca_embed.storage._sqlite import group_commit
from ca_embed.testing._storage_processes import record

PATIENCE = 30.0


class _Observed:
    """A connection that notes the statements of a transaction, and may fail at one."""

    def __init__(self, connection, statements, trouble):
        self._connection, self._statements, self._trouble = connection, statements, trouble

    def execute(self, statement, values=()):
        word = statement.split()[0]
        self._statements.append(word)
        if word in self._trouble:
            raise self._trouble.pop(word)
        result = self._connection.execute(statement, values)
        if f"after {word}" in self._trouble:
            raise self._trouble.pop(f"after {word}")
        return result

    @property
    def in_transaction(self):
        return self._connection.in_transaction


class _Stage:
    """A storage whose first writer is held at the door, so that other writes queue up behind it."""

    def __init__(self, storage):
        self.storage = storage
        storage.load("the first use creates the table")
        self.statements, self.trouble = [], {}
        self.after_block = lambda: None
        self.hold, self.held = threading.Event(), threading.Event()
        self._lend, self._first = storage._connections.lend_to_write, True
        storage._connections.lend_to_write = self._lend_observed
        self._threads = ThreadPoolExecutor(32)

    @contextmanager
    def _lend_observed(self, deadline):
        with self._lend(deadline) as connection:
            if self._first:
                self._first = False
                self.held.set()
                assert self.hold.wait(PATIENCE)
                yield connection
            else:
                yield _Observed(connection, self.statements, self.trouble)
                self.after_block()

    def results(self, *records):
        """Save these behind a writer that waits for the disk. Return what each save returned or raised."""
        first = self._threads.submit(self.storage.save, record("first"))
        assert self.held.wait(PATIENCE)
        saves = []
        for number, one in enumerate(records, 1):
            saves.append(self._threads.submit(self.storage.save, one))
            self.wait_for(number)
        self.hold.set()
        assert first.result(PATIENCE) is True
        return [save.exception(PATIENCE) or save.result() for save in saves]

    def wait_for(self, number):
        end = time.monotonic() + PATIENCE
        while len(self.storage._commits._turns.waiting) != number:
            assert time.monotonic() < end
            time.sleep(0.001)


@pytest.fixture
def storage(place):
    """A storage in a database."""
    storage = SQLiteStorage(place / "ca_embed.db")
    yield storage
    storage.close()


@pytest.fixture
def stage(storage):
    """That storage, with a writer that others queue up behind."""
    stage = _Stage(storage)
    yield stage
    stage.hold.set()
    stage._threads.shutdown()


def test_writes_that_wait_share_one_commit(stage):
    """Ten writes that wait are one transaction. All are stored when they return."""
    assert stage.results(*(record(f"r{number}") for number in range(10))) == [True] * 10
    assert stage.statements == ["BEGIN", *["INSERT"] * 10, "COMMIT"]
    assert all(stage.storage.load(f"r{number}") for number in range(10))


def test_one_write_alone_is_one_statement(stage):
    """A write behind which no one waits begins no transaction of its own: it costs what it always did."""
    assert stage.results(record("r")) == [True]
    assert stage.statements == ["INSERT"]


def test_no_transaction_is_longer_than_the_limit(stage, monkeypatch):
    """Of many that wait, some are left for the next transaction."""
    monkeypatch.setattr(group_commit, "MOST", 4)
    assert stage.results(*(record(f"r{number}") for number in range(6))) == [True] * 6
    assert stage.statements == ["BEGIN", *["INSERT"] * 4, "COMMIT", "BEGIN", *["INSERT"] * 2, "COMMIT"]


def test_one_that_loses_its_race_harms_no_other(stage):
    """Of two that save the same version in one transaction, one wins. The others are stored."""
    results = stage.results(record("a"), record("same"), record("same"), record("b"), record("missing", 7))
    assert results == [True, True, False, True, False]
    assert stage.statements.count("COMMIT") == 1


def test_one_that_follows_another_in_the_same_commit_sees_it(stage):
    """The second version of a record may share the transaction of the first."""
    assert stage.results(record("r"), record("r", 2)) == [True, True]
    assert stage.storage.load("r") == record("r", 2)


def test_a_statement_that_fails_harms_no_other(stage):
    """A record that SQLite refuses fails alone; those that shared its transaction are stored."""
    unfit = record("unfit", document="a text and no bytes")
    first, refused, last = stage.results(record("a"), unfit, record("b"))
    assert (first, last) == (True, True)
    assert isinstance(refused, StorageUnavailable)
    assert stage.storage.load("a")
    assert stage.storage.load("b")
    assert stage.storage.load("unfit") is None


def test_a_commit_that_fails_is_done_again_one_by_one(stage):
    """If the disk cannot take the transaction, each write is done once more, in one of its own."""
    stage.trouble["COMMIT"] = sqlite3.OperationalError("database or disk is full")
    results = stage.results(record("a"), record("first", 2), record("b"), record("b"))
    assert results == [True, True, True, False]
    statements = ["INSERT", "UPDATE", "INSERT", "INSERT"]
    assert stage.statements == ["BEGIN", *statements, "COMMIT", "ROLLBACK", *statements]


def test_a_commit_of_unknown_outcome_is_not_done_again(stage):
    """All fail whose transaction may have been committed: done again, each would meet its own row."""

    def lose():
        raise StorageUnavailable("the files have gone")

    stage.after_block = lose
    results = stage.results(record("a"), record("b"))
    assert [type(one) for one in results] == [StorageUnavailable] * 2
    assert results[0] is not results[1]
    assert stage.statements.count("BEGIN") == 1


def test_a_commit_that_was_interrupted_is_not_done_again(stage):
    """A leader that is interrupted right after the commit makes all fail. None seems to have lost a race."""
    stage.trouble["after COMMIT"] = KeyboardInterrupt()
    results = stage.results(record("a"), record("b"))
    assert [type(one) for one in results] == [KeyboardInterrupt, StorageUnavailable]
    assert "a thread was interrupted while it wrote for others" in str(results[1])


def test_an_interrupted_leader_leaves_the_others_a_turn(stage):
    """KeyboardInterrupt in one thread ends its own write. Those that it led are done by others."""
    stage.trouble["INSERT"] = KeyboardInterrupt()
    results = stage.results(record("a"), record("b"), record("c"))
    assert isinstance(results[0], KeyboardInterrupt)
    assert results[1:] == [True, True]
    assert stage.storage.load("a") is None
    assert stage.storage.save(record("a")) is True


def test_a_signal_at_any_place_leaves_the_storage_usable(place):
    """A time limit that a signal enforces may end a write anywhere. The next write is done at once."""
    command = [sys.executable, "-m", "tests.storage.interrupted", str(place)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 2, check=False)
    assert ran.returncode == 0, ran.stderr
    assert all(int(places) > 50 for places in ran.stdout.split())


def test_a_write_that_waited_too_long_is_not_done_later(stage, monkeypatch):
    """A write leaves the queue at its deadline with an error. It is not stored afterwards."""
    from ca_embed.storage._sqlite import storage as module

    held = stage._threads.submit(stage.storage.save, record("first"))
    assert stage.held.wait(PATIENCE)
    monkeypatch.setattr(module, "LOCK_WAIT", 0.05)
    with pytest.raises(StorageUnavailable, match="it was locked"):
        stage.storage.save(record("late"))
    stage.hold.set()
    assert held.result(PATIENCE) is True
    monkeypatch.undo()
    assert stage.storage.load("late") is None
    assert stage.storage.save(record("late")) is True


def test_a_transaction_that_does_not_end_holds_no_one_for_ever(stage, monkeypatch):
    """A write whose leader hangs gives up. When the leader goes on, writes are done as before."""
    from ca_embed.storage._sqlite import storage as module

    monkeypatch.setattr(group_commit, "_GRACE", 0.05)
    gone = threading.Event()
    stage.after_block = lambda: gone.wait(PATIENCE)
    first = stage._threads.submit(stage.storage.save, record("first"))
    assert stage.held.wait(PATIENCE)
    leader = stage._threads.submit(stage.storage.save, record("leader"))
    stage.wait_for(1)
    monkeypatch.setattr(module, "LOCK_WAIT", 0.3)
    follower = stage._threads.submit(stage.storage.save, record("follower"))
    stage.wait_for(2)
    stage.hold.set()
    assert isinstance(follower.exception(PATIENCE), StorageUnavailable)
    gone.set()
    assert [first.result(PATIENCE), leader.result(PATIENCE)] == [True, True]
    assert stage.storage.save(record("next")) is True


def test_a_child_process_does_not_wait_for_threads_of_its_parent(storage):
    """A fork in C copies the queue with a leader that does not exist in the child. It begins anew there."""
    storage.save(record("r"))
    turns = storage._commits._turns
    turns.led, turns.pid = True, turns.pid - 1
    turns.lock.acquire()
    assert storage.save(record("child's")) is True
