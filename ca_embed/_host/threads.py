"""Threads for what would block an event loop: separate, bounded pools, so that neither starves another."""

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

_LONGEST_WAIT = 5.0  # seconds in a queue after which a call gives up: the answer is due in 10
_CREATING, _ASKING = 2, 1  # threads of the host's server in a Partner API call: many servers have but 4
_HANGS_AFTER = 1.0  # seconds after which nobody waits behind a call: who waits takes a thread as well


class Pool(Enum):
    """What a blocking call waits for. The value names its threads and says how many there are."""

    STORAGE = ("storage", 16)
    PARTNER = ("partner", 16)
    HANDLERS = ("handlers", 8)


class Executors:
    """One thread pool each, made when first used; `close` and a fork make the next use begin anew."""

    _lock: threading.Lock
    _executors: dict[Pool, ThreadPoolExecutor]
    _line: _Line

    def __init__(self) -> None:
        """Begin without a thread."""
        self._begin()
        _everywhere.add(self)

    async def run(self, pool: Pool, call: Callable[[], _T]) -> _T:
        """Run the call in a thread of that pool. It may use `asgiref.sync.async_to_sync` to get back here."""
        from asgiref.sync import sync_to_async

        call = _not_after(time.monotonic() + _LONGEST_WAIT, pool, call)
        return await sync_to_async(call, thread_sensitive=False, executor=self._executor(pool))()

    def run_here(self, pool: Pool, call: Callable[[], _T], *, can_do_without: bool = False) -> _T:
        """Run the call in the caller's thread, which the host's server lends.

        can_do_without: the caller has another way if the Partner API is busy, so it does not wait.
        """
        if pool is not Pool.PARTNER:
            return call()
        with self._line.asking() if can_do_without else self._line.creating():
            return call()

    def close(self) -> None:
        """Let running calls finish, and end the threads."""
        with self._lock:
            executors, self._executors = self._executors, {}
        for executor in executors.values():
            executor.shutdown(wait=False)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._executors = {}
        self._line = _Line()

    def _executor(self, pool: Pool) -> ThreadPoolExecutor:
        with self._lock:
            if pool not in self._executors:
                name, threads = pool.value
                self._executors[pool] = ThreadPoolExecutor(threads, thread_name_prefix=f"ca_embed-{name}")
            return self._executors[pool]


class _Line:
    """Where threads of the host's server stand in line for the Partner API.

    Few are let in, so that some are left for webhooks, and nobody waits behind a call that hangs.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun: list[float] = []  # when each call that creates a session began, the oldest first
        self._asking = 0

    @contextmanager
    def creating(self) -> Generator[None]:
        """Wait for a place, and keep it for the block. Raises PartnerBusy."""
        began = self._begin(time.monotonic() + _LONGEST_WAIT)
        try:
            yield
        finally:
            with self._changed:
                self._begun.remove(began)
                self._changed.notify()

    @contextmanager
    def asking(self) -> Generator[None]:
        """Take a place if there is one, and keep it for the block. Raises PartnerBusy."""
        with self._changed:
            if self._asking >= _ASKING:
                raise _full(Pool.PARTNER)
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1

    def _begin(self, latest_start: float) -> float:
        with self._changed:
            while len(self._begun) >= _CREATING:
                left = min(latest_start, self._begun[0] + _HANGS_AFTER) - time.monotonic()
                if left <= 0:
                    raise _full(Pool.PARTNER)
                self._changed.wait(left)
            began = time.monotonic()
            self._begun.append(began)
            return began


_everywhere: WeakSet[Executors] = WeakSet()


def _begin_everywhere() -> None:
    """A child process has none of its parent's threads, but locks that they may have held."""
    for executors in list(_everywhere):
        executors._begin()


if hasattr(os, "register_at_fork"):  # where a process can fork at all
    os.register_at_fork(after_in_child=_begin_everywhere)


def _full(pool: Pool) -> EmbedError:
    message = f"too many {pool.value[0]} calls were waiting already"
    return PartnerBusy(message) if pool is Pool.PARTNER else StorageUnavailable(message)


def _not_after(latest_start: float, pool: Pool, call: Callable[[], _T]) -> Callable[[], _T]:
    def run() -> _T:
        if pool is not Pool.HANDLERS and time.monotonic() > latest_start:
            raise _full(pool)
        return call()

    return run
