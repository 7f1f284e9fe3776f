"""Threads for calls that block: a bounded pool for each thing they wait for, so none starves another."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar
from weakref import WeakSet

from ca_embed.errors import EmbedError, PartnerBusy, StorageUnavailable

_T = TypeVar("_T")

_LONGEST_WAIT = 5.0  # seconds in a queue after which a call gives up: the response is due in 10
# Threads of the host's server that may be in a Partner API call. Many servers have only 4 threads.
_MAX_CREATING, _MAX_ASKING = 2, 1
_HANGS_AFTER = 1.0  # seconds; no thread waits behind a call this old, for waiting takes a thread as well


class Pool(Enum):
    """What a blocking call waits for. The value is the name of its threads and their number."""

    STORAGE = ("storage", 16)
    PARTNER = ("partner", 16)
    HANDLERS = ("handlers", 8)
    IDENTIFY = ("identify", 16)
    HEALTH = ("health", 1)


class Threads:
    """A thread pool for each `Pool`, made at its first use and made anew after `close` or a fork."""

    _lock: threading.Lock
    _executors: dict[Pool, ThreadPoolExecutor]
    _creating: _Queue
    _asking: threading.Semaphore

    def __init__(self) -> None:
        """Start no thread yet."""
        self._reset()
        _instances.add(self)

    async def run(self, pool: Pool, call: Callable[[], _T]) -> _T:
        """Await the call in a thread of that pool.

        The call may use `asgiref.sync.async_to_sync` to run on the caller's event loop. Raises PartnerBusy or
        StorageUnavailable if no thread was free within 5 seconds. This is checked when one becomes free.
        """
        from asgiref.sync import sync_to_async

        call = _not_after(time.monotonic() + _LONGEST_WAIT, pool, call)
        return await sync_to_async(call, thread_sensitive=False, executor=self._executor(pool))()

    def run_here(self, pool: Pool, call: Callable[[], _T], *, optional: bool = False) -> _T:
        """Make the call in the caller's thread, which belongs to the host's server.

        At most 2 threads create a session and 1 asks for a status, so that some are left for webhooks.
        optional: ask for a status; raises PartnerBusy at once if another thread asks. Otherwise: create a
        session; wait for a place, 5 seconds at most, and raise PartnerBusy if there is none.
        """
        if pool is not Pool.PARTNER:
            return call()
        with self._asking_place() if optional else self._creating.place():
            return call()

    def close(self) -> None:
        """Let running calls finish, and end the threads."""
        with self._lock:
            executors, self._executors = self._executors, {}
        for executor in executors.values():
            executor.shutdown(wait=False)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._executors = {}
        self._creating = _Queue()
        self._asking = threading.Semaphore(_MAX_ASKING)

    def _executor(self, pool: Pool) -> ThreadPoolExecutor:
        with self._lock:
            if pool not in self._executors:
                name, threads = pool.value
                self._executors[pool] = ThreadPoolExecutor(threads, thread_name_prefix=f"ca_embed-{name}")
            return self._executors[pool]

    @contextmanager
    def _asking_place(self) -> Generator[None]:
        asking = self._asking
        if not asking.acquire(blocking=False):
            raise _full(Pool.PARTNER)
        try:
            yield
        finally:
            asking.release()


class _Queue:
    """Places for calls that create a session. A call waits for a place, but not behind one that hangs."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun: list[float] = []  # when each call in a place began, the oldest first

    @contextmanager
    def place(self) -> Generator[None]:
        """Wait for a place, and keep it for the block. Raises PartnerBusy."""
        began = self._wait(time.monotonic() + _LONGEST_WAIT)
        try:
            yield
        finally:
            with self._changed:
                self._begun.remove(began)
                self._changed.notify()

    def _wait(self, latest_start: float) -> float:
        with self._changed:
            while len(self._begun) >= _MAX_CREATING:
                left = min(latest_start, self._begun[0] + _HANGS_AFTER) - time.monotonic()
                if left <= 0:
                    raise _full(Pool.PARTNER)
                self._changed.wait(left)
            began = time.monotonic()
            self._begun.append(began)
            return began


_instances: WeakSet[Threads] = WeakSet()


def _reset_all() -> None:
    """A child process has none of its parent's threads, but locks that they may have held."""
    for threads in list(_instances):
        threads._reset()


if hasattr(os, "register_at_fork"):  # where a process can fork at all
    os.register_at_fork(after_in_child=_reset_all)


def _full(pool: Pool) -> EmbedError:
    message = f"no thread was free for a {pool.value[0]} call in time; try again"
    return PartnerBusy(message) if pool is Pool.PARTNER else StorageUnavailable(message)


def _not_after(latest_start: float, pool: Pool, call: Callable[[], _T]) -> Callable[[], _T]:
    def run() -> _T:
        if pool is not Pool.HANDLERS and time.monotonic() > latest_start:
            raise _full(pool)
        return call()

    return run
