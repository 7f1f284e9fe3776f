"""An asynchronous storage behind the bridge keeps the contract, on the right event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import MemoryStorage
from ca_embed.storage import _bridge as bridge_module
from ca_embed.storage._bridge import SyncBridge, as_sync
from ca_embed.testing._storage_contract import StorageContract
from ca_embed.testing._storage_processes import record


class AsyncMemoryStorage:
    """A MemoryStorage with coroutine functions. It remembers the loops that it ran on."""

    def __init__(self):
        self._storage = MemoryStorage()
        self.loops = []

    async def load(self, registration_id):
        await self._turn()
        return self._storage.load(registration_id)

    async def save(self, record):
        await self._turn()
        return self._storage.save(record)

    async def delete(self, registration_id, version):
        await self._turn()
        return self._storage.delete(registration_id, version)

    async def due(self, by, *, limit, after=None):
        await self._turn()
        return self._storage.due(by, limit=limit, after=after)

    async def list(self, *, user_id=None, limit, after=None):
        await self._turn()
        return self._storage.list(user_id=user_id, limit=limit, after=after)

    async def close(self):
        await self._turn()
        self._storage.close()

    async def _turn(self):
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)


class TestAsyncMemoryStorage(StorageContract):
    """The contract suite, for an AsyncStorage."""

    @pytest.fixture
    def open_storage(self):
        """Return the same instance at each call."""
        storage = AsyncMemoryStorage()
        return lambda: storage


@pytest.fixture
def inner():
    """The asynchronous storage behind the bridge."""
    return AsyncMemoryStorage()


@pytest.fixture
def bridge(inner):
    """The bridge under test."""
    bridge = SyncBridge(inner)
    yield bridge
    bridge.close()


def test_under_asgi_it_runs_on_the_loop_of_the_host(bridge, inner):
    """A coroutine runs on the loop of the host, so it may use connections of this loop."""

    async def host():
        await sync_to_async(bridge.save, thread_sensitive=False)(record("r"))
        return asyncio.get_running_loop()

    assert inner.loops == [asyncio.run(host())]


def test_elsewhere_it_stays_on_one_loop(bridge, inner):
    """Calls from threads that no event loop has started share the loop of the bridge."""
    threads = [threading.Thread(target=bridge.load, args=("r",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bridge.load("r")
    assert len(inner.loops) == 4
    assert len(set(inner.loops)) == 1


def test_a_call_in_a_running_loop_is_served(bridge, inner):
    """A call that blocks its own loop runs on the loop of the bridge."""

    async def careless():
        return bridge.save(record("r")), asyncio.get_running_loop()

    saved, loop = asyncio.run(careless())
    assert saved is True
    assert inner.loops != [loop]


def test_an_error_crosses_the_bridge(bridge, inner):
    """The caller gets the error that the storage raises."""

    async def fail():
        raise OSError("unreachable")

    inner._turn = fail
    with pytest.raises(OSError, match="unreachable"):
        bridge.load("r")
    del inner._turn


@pytest.mark.parametrize("where", ["elsewhere", "under asgi"])
def test_a_call_that_hangs_is_cancelled(bridge, inner, monkeypatch, where):
    """With a driver that has no time limit, the call still raises in time."""
    cancelled = threading.Event()

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def host():
        await sync_to_async(bridge.load, thread_sensitive=False)("r")

    monkeypatch.setattr(bridge_module, "LONGEST_OPERATION", 0.05)
    monkeypatch.setattr(inner, "_turn", hang)
    with pytest.raises(StorageUnavailable, match="in time"):
        asyncio.run(host()) if where == "under asgi" else bridge.load("r")
    assert cancelled.wait(30.0)
    monkeypatch.undo()
    assert bridge.load("r") is None


def test_close_reaches_what_was_opened_on_the_loops_of_the_host(bridge, inner):
    """`close` also works if the bridge has no loop of its own yet."""

    async def host():
        await sync_to_async(bridge.load, thread_sensitive=False)("r")

    asyncio.run(host())
    before = len(inner.loops)
    bridge.close()
    assert len(inner.loops) == before + 1
    assert not [thread for thread in threading.enumerate() if thread.name == "ca_embed-storage"]


def test_a_cancelled_call_ends_before_its_loop(bridge, inner, monkeypatch):
    """`close` waits a moment for a cancelled call that has not ended yet."""
    ended = []

    async def end_slowly():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)
            ended.append("ended")

    monkeypatch.setattr(bridge_module, "LONGEST_OPERATION", 0.01)
    monkeypatch.setattr(inner, "_turn", end_slowly)
    with pytest.raises(StorageUnavailable):
        bridge.load("r")
    monkeypatch.undo()
    bridge.close()
    assert ended == ["ended"]


def test_a_timeout_that_the_storage_raises_reaches_the_caller(bridge, inner, monkeypatch):
    """A TimeoutError of the storage is not mistaken for the time limit of the bridge."""

    async def fail():
        raise TimeoutError("the pool has no connection left")

    monkeypatch.setattr(inner, "_turn", fail)
    with pytest.raises(TimeoutError, match="no connection left"):
        bridge.load("r")
    monkeypatch.undo()


def test_close_ends_the_thread_and_the_next_call_starts_one(bridge, inner):
    """After `close` the bridge has no thread, and it can be used again."""
    bridge.load("r")
    bridge.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ca_embed-storage"]
    bridge.load("r")
    assert len(set(inner.loops)) == 2


def test_a_fork_waits_for_calls_on_the_own_loop(bridge, inner):
    """A fork waits until no call runs on the loop of the bridge."""
    under_way, go_on, done = threading.Event(), threading.Event(), []

    async def dawdle():
        under_way.set()
        await asyncio.to_thread(go_on.wait, 30.0)
        done.append("called")

    inner._turn = dawdle
    calling = threading.Thread(target=bridge.load, args=("r",))
    calling.start()
    assert under_way.wait(30.0)
    forking = threading.Thread(target=lambda: (bridge._gate.shut(), done.append("forked")))
    forking.start()
    forking.join(0.1)
    go_on.set()
    forking.join()
    bridge._gate.reopen_in_parent()
    calling.join()
    del inner._turn
    assert done == ["called", "forked"]


def test_a_plain_storage_needs_no_bridge(inner):
    """Only an asynchronous storage is wrapped."""
    storage = MemoryStorage()
    assert as_sync(storage) is storage
    assert isinstance(as_sync(inner), SyncBridge)


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import asyncio, gevent
from tests.storage.test_bridge import SlowStorage
from ca_embed.storage import SealedRecord
from ca_embed.storage._bridge import SyncBridge

bridge = SyncBridge(SlowStorage())
for _ in range(2):  # the second time after `close`
    saves = [gevent.spawn(bridge.save, SealedRecord(f"r{n}", 1, None, None, b"d")) for n in range(40)]
    gevent.joinall(saves, timeout=60)
    print(sum(one.value is True for one in saves), len(bridge.list(limit=99)))
    print(asyncio.run(asyncio.sleep(0, "an event loop of the host")))
    with gevent.Timeout(0.01, False):
        bridge.load("slow")
    print(len(bridge.list(limit=99)))
    bridge.close()
    for n in range(40):
        bridge.delete(f"r{n}", 1)
print("not closed at the end")
"""


class SlowStorage(AsyncMemoryStorage):
    """The same, but one id takes a while to load."""

    async def load(self, registration_id):
        await asyncio.sleep(0.5 if registration_id == "slow" else 0.01)
        return await super().load(registration_id)


def test_greenlets_of_gevent_share_a_bridge():
    """Many greenlets call at once, one is interrupted, and the host can still run a loop of its own."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", UNDER_GEVENT],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=Path(__file__).parent.parent.parent,
        check=False,
    )
    each = ["40 40", "an event loop of the host", "40"]
    assert ran.stdout.splitlines() == [*each, *each, "not closed at the end"], ran.stderr
    assert ran.stderr == ""
