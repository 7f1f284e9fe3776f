"""Threads for what would block an event loop: separate, bounded pools, so that neither starves another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import TypeVar

from ca_embed.errors import EmbedError, PartnerTimeout, StorageUnavailable

_T = TypeVar("_T")

_LONGEST_WAIT = 5.0  # seconds in a queue after which a call gives up: the answer is due in 10
_HANGS_AFTER = 1.0  # seconds after which nobody waits behind a call in a thread of the host's server
_SLOTS_HERE = 2  # fewer than even a small server has threads: many have 4


class Pool(Enum):
    """What a blocking call waits for. The value names its threads and says how many there are."""

    STORAGE = ("storage", 16)
    PARTNER = ("partner", 16)
    HANDLERS = ("handlers", 8)


class Executors:
    """One thread pool each, made when first used; `close` ends them and the next use makes new ones."""

    def __init__(self) -> None:
        """Begin without a thread."""
        self._lock = threading.Lock()
        self._executors: dict[Pool, ThreadPoolExecutor] = {}
        self._calls_here: list[float] = []  # when each began, the oldest first
        self._line = threading.Condition()

    async def run(self, pool: Pool, call: Callable[[], _T]) -> _T:
        """Run the call in a thread of that pool. It may use `asgiref.sync.async_to_sync` to get back here."""
        from asgiref.sync import sync_to_async

        call = _not_after(time.monotonic() + _LONGEST_WAIT, pool, call)
        return await sync_to_async(call, thread_sensitive=False, executor=self._executor(pool))()

    def run_here(self, pool: Pool, call: Callable[[], _T]) -> _T:
        """Run the call in the caller's thread, which the host's server lends.

        Two threads at most are in a call to the Partner API, so that some are left for webhooks; others
        wait in line, but not behind a call that hangs.
        """
        if pool is not Pool.PARTNER:
            return call()
        began = self._take_slot(time.monotonic() + _LONGEST_WAIT)
        try:
            return call()
        finally:
            with self._line:
                self._calls_here.remove(began)
                self._line.notify()

    def _take_slot(self, latest_start: float) -> float:
        with self._line:
            while len(self._calls_here) >= _SLOTS_HERE:
                left = min(latest_start, self._calls_here[0] + _HANGS_AFTER) - time.monotonic()
                if left <= 0:
                    raise _full(Pool.PARTNER)
                self._line.wait(left)
            began = time.monotonic()
            self._calls_here.append(began)
            return began

    def close(self) -> None:
        """Let running calls finish, and end the threads."""
        with self._lock:
            executors, self._executors = self._executors, {}
        for executor in executors.values():
            executor.shutdown(wait=False)

    def _executor(self, pool: Pool) -> ThreadPoolExecutor:
        with self._lock:
            if pool not in self._executors:
                name, threads = pool.value
                self._executors[pool] = ThreadPoolExecutor(threads, thread_name_prefix=f"ca_embed-{name}")
            return self._executors[pool]


def _full(pool: Pool) -> EmbedError:
    message = f"too many {pool.value[0]} calls were waiting already"
    return PartnerTimeout(message) if pool is Pool.PARTNER else StorageUnavailable(message)


def _not_after(latest_start: float, pool: Pool, call: Callable[[], _T]) -> Callable[[], _T]:
    def run() -> _T:
        if pool is not Pool.HANDLERS and time.monotonic() > latest_start:
            raise _full(pool)
        return call()

    return run
