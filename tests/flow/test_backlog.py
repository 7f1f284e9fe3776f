"""A hundred thousand open sessions that are all due: passes stay bounded, and nothing else waits for them."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ca_embed import Embed, PartnerClient, PartnerUnavailable, Result
from ca_embed.storage import MemoryStorage, SealedRecord, SQLiteStorage, Storage
from tests.doors.clients import WsgiClient
from tests.flow.kit import Clock, build, delivery, sealed_sessions, store_session

_COUNT = 100_000
_CREATED = 1_790_000_000.0  # Unix seconds, when the first session of the backlog was created
_NOW = _CREATED + 3600
_PAGE_TAKES, _QUESTION_TAKES = 0.05, 0.1  # seconds


class Stopwatch:
    """The monotonic clock of a pass. It goes on when a page is read or a question is asked."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class Partner:
    """The Partner API: it counts the questions. Each takes some time by the stopwatch."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self.asked: list[str] = []
        self.down = False
        self._stopwatch = stopwatch

    def result(self, registration_id: str) -> Result:
        self._stopwatch.advance(_QUESTION_TAKES)
        self.asked.append(registration_id)
        if self.down:
            raise PartnerUnavailable("down")
        return Result("started")


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """The clock by which passes measure their seconds."""
    stopwatch = Stopwatch()
    monkeypatch.setattr("ca_embed._reconciliation.time", SimpleNamespace(monotonic=stopwatch.monotonic))
    return stopwatch


@pytest.fixture
def partner(monkeypatch: pytest.MonkeyPatch, stopwatch: Stopwatch) -> Partner:
    """The Partner API of all clients."""
    partner = Partner(stopwatch)

    def result(_client: PartnerClient, registration_id: str) -> Result:
        return partner.result(registration_id)

    monkeypatch.setattr(PartnerClient, "result", result)
    return partner


@pytest.fixture(scope="module")
def backlog() -> Sequence[SealedRecord]:
    """The sealed sessions, the earliest first."""
    return list(sealed_sessions(_COUNT, _CREATED))


@pytest.fixture(scope="module")
def database(backlog: Sequence[SealedRecord], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the backlog."""
    path = tmp_path_factory.mktemp("backlog") / "backlog.db"
    with closing(SQLiteStorage(path)) as storage:
        storage.load("the first use creates the table")
    rows = ((one.registration_id, one.version, one.user_id, one.due_at, one.document) for one in backlog)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO registrations VALUES (?, ?, ?, ?, ?)", rows)
    return path


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, stopwatch: Stopwatch, tmp_path: Path) -> Storage:
    """A storage with the backlog in it. Each page of what is due takes some time by the stopwatch."""
    filled: Storage = MemoryStorage()
    if request.param == "memory":
        backlog = request.getfixturevalue("backlog")
        filled._records.update((one.registration_id, one) for one in backlog)
    else:
        copy = shutil.copy(request.getfixturevalue("database"), tmp_path / "copy.db")
        filled = SQLiteStorage(copy)
    due = filled.due

    def slow(*given: Any, **named: Any) -> Sequence[SealedRecord]:
        stopwatch.advance(_PAGE_TAKES)
        return due(*given, **named)

    filled.due = slow  # type: ignore[method-assign]
    return filled


@pytest.fixture
def clock() -> Clock:
    """The clock of the Embed, at which all sessions of the backlog are due."""
    return Clock(_NOW)


@pytest.fixture
def embed(storage: Storage, clock: Clock) -> Iterator[Embed]:
    """An Embed on the storage."""
    with closing(build(storage=storage, clock=clock)) as embed:
        yield embed


def test_a_pass_is_bounded_and_the_next_goes_on(embed: Embed, partner: Partner, stopwatch: Stopwatch) -> None:
    """A pass ends when its questions or its seconds are used up. The next one asks about other sessions."""
    assert embed.reconcile(limit=10, seconds=2).asked == 10
    began = stopwatch.now
    asked = embed.reconcile(seconds=2).asked
    assert 0 < asked <= 2 / _QUESTION_TAKES + 8  # which are asked at once
    assert stopwatch.now - began <= 2 + 8 * _QUESTION_TAKES + 5 * _PAGE_TAKES
    assert embed.reconcile(limit=10, seconds=2).asked == 10
    assert len(set(partner.asked)) == len(partner.asked) == 20 + asked
    assert {f"session-{number:06}" for number in range(10)} <= set(partner.asked)


def test_a_pass_reads_no_more_than_it_can_use(
    embed: Embed, partner: Partner, stopwatch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a pass may take, it holds a bounded number of sessions in memory."""
    monkeypatch.setattr("ca_embed._reconciliation._MOST_SESSIONS", 1000)
    assert embed.reconcile(seconds=1e6, limit=1).asked == 1
    assert stopwatch.now <= _QUESTION_TAKES + (1000 / 100 + 6) * _PAGE_TAKES


def test_handlers_do_not_wait_for_sessions(embed: Embed, partner: Partner, clock: Clock) -> None:
    """A handler that is due runs in the next pass, also if the Partner API is down and the backlog stays."""
    runs: list[str] = []

    @embed.on_completed(name="connect")
    def connect(registration: Any, credentials: Any) -> None:
        runs.append(registration.registration_id)
        if len(runs) == 1:
            raise RuntimeError("not yet")

    partner.down = True
    embed.reconcile(seconds=1)
    assert WsgiClient(embed.wsgi).deliver(delivery(at=clock(), registration_id="fails-once")).status == 200
    clock.advance(16)
    done = embed.reconcile(seconds=1)
    assert (done.handlers_done, runs) == (1, ["fails-once"] * 2)


def test_a_new_session_does_not_wait_for_old_ones(embed: Embed, partner: Partner, clock: Clock) -> None:
    """The next pass asks about a new session among the first: its webhook may be lost."""
    store_session(embed, "new", expires_at=clock() + 900)
    clock.advance(10)
    embed.reconcile(seconds=1)
    assert "new" in partner.asked[:3]
