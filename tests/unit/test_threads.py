"""The queue in which a WSGI server's threads wait for the Partner API, and threads after a fork."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from ca_embed._host.threads import Pool, Threads
from ca_embed.errors import PartnerBusy


def test_a_crowd_is_served_while_calls_are_answered() -> None:
    """If the calls are short, any number of them succeed, two at a time."""
    pools = Threads()

    def short() -> str:
        time.sleep(0.2)
        return "served"

    with ThreadPoolExecutor(14) as crowd:
        served = [crowd.submit(pools.run_here, Pool.PARTNER, short) for _ in range(14)]
        assert [call.result() for call in served] == ["served"] * 14


def test_no_call_waits_behind_calls_that_hang() -> None:
    """While two calls hang, the next ones raise PartnerBusy. Once they end, the next one is made."""
    pools, begun, let_go = Threads(), threading.Barrier(3), threading.Event()

    def hang() -> None:
        begun.wait(10)
        let_go.wait(60)

    with ThreadPoolExecutor(2) as others:
        hanging = [others.submit(pools.run_here, Pool.PARTNER, hang) for _ in range(2)]
        begun.wait(10)
        for _ in range(2):
            with pytest.raises(PartnerBusy, match="no thread was free"):
                pools.run_here(Pool.PARTNER, lambda: None)
        assert pools.run_here(Pool.STORAGE, lambda: "at once") == "at once"
        let_go.set()
        for call in hanging:
            call.result()
    assert pools.run_here(Pool.PARTNER, lambda: "served") == "served"


def test_who_can_do_without_neither_waits_nor_keeps_others_waiting() -> None:
    """Asking for the status of a registration takes no place from creating one."""
    pools, begun, let_go = Threads(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        let_go.wait(60)

    with ThreadPoolExecutor(1) as other:
        hanging = other.submit(pools.run_here, Pool.PARTNER, hang, optional=True)
        assert begun.wait(10)
        with pytest.raises(PartnerBusy):
            pools.run_here(Pool.PARTNER, lambda: None, optional=True)
        assert pools.run_here(Pool.PARTNER, lambda: "created") == "created"
        let_go.set()
        hanging.result()
    assert pools.run_here(Pool.PARTNER, lambda: "asked", optional=True) == "asked"


def test_a_child_process_begins_with_all_places_free() -> None:
    """After a fork, the child does not wait for the threads and the places of its parent."""
    pools, begun, let_go = Threads(), threading.Barrier(3), threading.Event()

    def hang() -> None:
        begun.wait(10)
        let_go.wait(60)

    async def in_a_thread() -> str:
        return await asyncio.wait_for(pools.run(Pool.STORAGE, lambda: "served"), 10)

    assert asyncio.run(in_a_thread()) == "served"
    with ThreadPoolExecutor(2) as others:
        hanging = [others.submit(pools.run_here, Pool.PARTNER, hang) for _ in range(2)]
        begun.wait(10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the case at hand
            child = os.fork()
        if child == 0:
            served = False
            try:
                served = asyncio.run(in_a_thread()) == pools.run_here(Pool.PARTNER, lambda: "served")
            finally:
                os._exit(0 if served else 1)
        assert os.waitpid(child, 0)[1] == 0
        let_go.set()
        for call in hanging:
            call.result()
