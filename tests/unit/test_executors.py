"""The line in which a WSGI server's threads wait for the Partner API."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ca_embed.errors import PartnerTimeout
from ca_embed.executors import Executors, Pool


def test_a_crowd_is_served_while_calls_are_answered() -> None:
    """Everybody gets through, two at a time, however many come at once, as long as the calls are short."""
    executors = Executors()

    def short() -> str:
        time.sleep(0.2)
        return "served"

    with ThreadPoolExecutor(14) as crowd:
        served = [crowd.submit(executors.run_here, Pool.PARTNER, short) for _ in range(14)]
        assert [call.result() for call in served] == ["served"] * 14


def test_nobody_waits_behind_calls_that_hang() -> None:
    """While two calls hang, the next are told to try again; once they end, the next is served."""
    executors, begun, let_go = Executors(), threading.Barrier(3), threading.Event()

    def hang() -> None:
        begun.wait(10)
        let_go.wait(60)

    with ThreadPoolExecutor(2) as others:
        hanging = [others.submit(executors.run_here, Pool.PARTNER, hang) for _ in range(2)]
        begun.wait(10)
        for _ in range(2):
            with pytest.raises(PartnerTimeout, match="waiting"):
                executors.run_here(Pool.PARTNER, lambda: None)
        assert executors.run_here(Pool.STORAGE, lambda: "at once") == "at once"
        let_go.set()
        for call in hanging:
            call.result()
    assert executors.run_here(Pool.PARTNER, lambda: "served") == "served"
