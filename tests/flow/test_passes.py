"""How often and in which order passes ask: counted calls of a Partner API that the test plays."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ca_embed import Embed, PartnerClient, PartnerRejected, PartnerUnavailable, Result
from ca_embed.storage import MemoryStorage, SQLiteStorage
from tests.flow.kit import Clock, build, closing, store_session, wait_until


class Partner:
    """Counts the questions about registrations, and answers as the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[str], Result] = lambda _registration_id: Result("started")
        self._lock = threading.Lock()

    def result(self, registration_id: str) -> Result:
        with self._lock:
            self.asked.append(registration_id)
        return self.answer(registration_id)


@pytest.fixture
def partner(monkeypatch: pytest.MonkeyPatch) -> Partner:
    """The Partner API of all clients."""
    partner = Partner()

    def result(_client: PartnerClient, registration_id: str) -> Result:
        return partner.result(registration_id)

    monkeypatch.setattr(PartnerClient, "result", result)
    return partner


def open_sessions(embed: Embed, count: int, clock: Clock, *, lasts: float = 1e6) -> list[str]:
    """Store that many open sessions, a hundredth of a second apart, and return their ids in that order."""
    ids = [f"session-{number:06}" for number in range(count)]
    for registration_id in ids:
        store_session(embed, registration_id, expires_at=clock() + lasts)
        clock.advance(0.01)
    return ids


def fails(error: Exception) -> Callable[[str], Any]:
    """Answer each question with this error."""

    def answer(_registration_id: str) -> Any:
        raise error

    return answer


def test_retry_after(partner: Partner) -> None:
    """429 with Retry-After stops all questions for that time, in this process and in the next one."""
    storage, clock = MemoryStorage(), Clock()
    with closing(embed := build(storage=storage, clock=clock)):
        open_sessions(embed, 200, clock)
        clock.advance(10)
        partner.answer = fails(PartnerRejected("slow down", partner_status=429, retry_after=120))
        assert embed.reconcile().unanswered == 200
        assert len(partner.asked) <= 10
        partner.answer = lambda _registration_id: Result("started")
        clock.advance(100)
        before = len(partner.asked)
        with closing(another := build(storage=storage, clock=clock)):
            another.reconcile()
        embed.reconcile()
        assert len(partner.asked) == before
        clock.advance(21)
        assert embed.reconcile().asked == 200


def test_a_partner_api_that_is_down(partner: Partner) -> None:
    """After three failures in a row no more is asked; then ever more rarely, by one call each time."""
    clock = Clock()
    with closing(embed := build(clock=clock)):
        open_sessions(embed, 50, clock)
        clock.advance(10)
        partner.answer = fails(PartnerUnavailable("down"))
        for _ in range(60):
            embed.reconcile()
            clock.advance(60)
        assert len(partner.asked) <= 3 + 2 + 60
        assert len(partner.asked) < 30


def test_abandoned_sessions(partner: Partner) -> None:
    """Twenty abandoned sessions cost at most 240 questions in an hour of passes, one every five seconds."""
    clock = Clock()
    with closing(embed := build(clock=clock)):
        open_sessions(embed, 20, clock)
        for _ in range(720):
            clock.advance(5)
            embed.reconcile()
        assert 20 < len(partner.asked) <= 240


def test_overlapping_passes(partner: Partner) -> None:
    """Four passes at the same time ask about each session once."""
    storage, clock = MemoryStorage(), Clock()
    embeds = [build(storage=storage, clock=clock) for _ in range(4)]
    with closing(*embeds):
        open_sessions(embeds[0], 100, clock)
        clock.advance(10)
        passes = [threading.Thread(target=embed.reconcile) for embed in embeds]
        for one in passes:
            one.start()
        for one in passes:
            one.join()
        assert len(partner.asked) == len(set(partner.asked)) == 100


def test_the_newest_first(partner: Partner) -> None:
    """The newest session is among the first tenth, and so is the one that waits longest."""
    clock = Clock()
    with closing(embed := build(clock=clock)):
        ids = open_sessions(embed, 300, clock)
        clock.advance(10)
        assert embed.reconcile().asked == 300
        assert {ids[0], ids[-1]} <= set(partner.asked[:30])


def test_many_sessions(partner: Partner, tmp_path: Any) -> None:
    """A pass ends within its budget. The next ones go on where it stopped, until all were asked about."""
    clock = Clock()
    storage = SQLiteStorage(tmp_path / "many.db")
    with closing(embed := build(storage=storage, clock=clock)):
        ids = open_sessions(embed, 500, clock)
        clock.advance(10)
        assert embed.reconcile(limit=120).asked == 120
        partner.answer = lambda _registration_id: time.sleep(0.02) or Result("started")
        began = time.monotonic()
        did = embed.reconcile(seconds=0.5)
        assert 0 < did.asked < 380
        assert time.monotonic() - began < 30
        partner.answer = lambda _registration_id: Result("started")
        embed.reconcile()
        assert set(partner.asked) == set(ids)
        assert len(partner.asked) == 500


def test_a_lease_of_a_dead_process_ends(partner: Partner) -> None:
    """While one process asks, the others run handlers only; after the lease of a dead one they ask again."""
    storage, clock = MemoryStorage(), Clock()
    with closing(dead := build(storage=storage, clock=clock), alive := build(storage=storage, clock=clock)):
        open_sessions(dead, 3, clock)
        clock.advance(10)
        assert dead._core.ledger.lease.take()
        assert alive.reconcile().busy
        assert partner.asked == []
        clock.advance(21)
        assert alive.reconcile().asked == 3


def test_reconciling_in_a_thread(partner: Partner) -> None:
    """`with embed.reconciling()` makes passes beside the program, until the block ends."""
    clock = Clock()
    with closing(embed := build(clock=clock)):
        open_sessions(embed, 3, clock)
        clock.advance(10)
        with embed.reconciling(every=0.05):
            wait_until(lambda: len(partner.asked) == 3)
            clock.advance(60)
            wait_until(lambda: len(partner.asked) == 6)
        clock.advance(600)
        time.sleep(0.2)
        assert len(partner.asked) == 6


def test_reconciling_on_an_event_loop(partner: Partner) -> None:
    """`async with embed.reconciling()` does the same as a task."""
    clock = Clock()

    async def serve(embed: Embed) -> None:
        async with embed.reconciling(every=0.05):
            await asyncio.to_thread(wait_until, lambda: len(partner.asked) == 3)

    with closing(embed := build(clock=clock)):
        open_sessions(embed, 3, clock)
        clock.advance(10)
        asyncio.run(asyncio.wait_for(serve(embed), 30))
        assert len(partner.asked) == 3


def test_reconciling_survives_a_failing_pass(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that fails is logged. The next one tries again."""
    with closing(embed := build()):
        passes = []

        def reconcile() -> None:
            passes.append(1)
            raise RuntimeError("unexpected")

        monkeypatch.setattr(embed, "reconcile", reconcile)
        with embed.reconciling(every=0.01):
            wait_until(lambda: len(passes) > 3)
