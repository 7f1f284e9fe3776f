"""Lends engines, with their pools of connections, to operations; closing one waits for the last of them.

An engine that is closed while somebody uses it would get back, and keep, a connection nobody closes.
The same goes for a fork, after which the connections in a pool are the parent's, and for the event
loops of asynchronous drivers, each of which needs connections of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_E = TypeVar("_E")

_inherited: list[object] = []  # connections of the parent process; to close one would harm it


@dataclass(slots=True)
class _Lease(Generic[_E]):
    engine: _E
    users: int = 0
    ended: bool = False

    @property
    def is_over(self) -> bool:
        return self.ended and not self.users


_LeasesByLoop = WeakKeyDictionary[asyncio.AbstractEventLoop, _Lease["AsyncEngine"]]


class SharedEngine:
    """An engine of the host's. Its connections are the host's to close."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is opened until somebody asks."""
        self._engine = engine
        self._pid = os.getpid()

    @contextmanager
    def lent(self) -> Generator[Engine]:
        """Lend the engine; in a new process with an empty pool."""
        if self._pid != os.getpid():
            _inherited.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        yield self._engine

    def close(self) -> None:
        """Do nothing."""


class OwnEngine:
    """An engine of ours, made anew after each `close` and each fork."""

    def __init__(self, pattern: Engine) -> None:
        """Take the engine that the others are to be like."""
        self._pattern = pattern
        self._pid = os.getpid()
        self._lock = Lock()
        self._lease = _Lease(_like(pattern))

    @contextmanager
    def lent(self) -> Generator[Engine]:
        """Lend the present engine."""
        lease = self._take()
        try:
            yield lease.engine
        finally:
            with self._lock:
                lease.users -= 1
                over = lease.is_over
            if over:
                lease.engine.dispose()

    def close(self) -> None:
        """Close the connections, at the latest when the operations under way are done."""
        with self._lock:
            lease = self._lease
            lease.ended = True
            self._lease = _Lease(_like(self._pattern))
            over = lease.is_over and self._pid == os.getpid()
        if over:
            lease.engine.dispose()

    def _take(self) -> _Lease[Engine]:
        if self._pid != os.getpid():
            _inherited.append(self._lease)
            self._pid, self._lock, self._lease = os.getpid(), Lock(), _Lease(_like(self._pattern))
        with self._lock:
            self._lease.users += 1
            return self._lease


class EngineOfEachLoop:
    """Asynchronous engines of ours, by the event loop that they are used from."""

    def __init__(self, pattern: AsyncEngine) -> None:
        """Take the engine that the others are to be like."""
        self._pattern = pattern
        self._pid = os.getpid()
        self._lock = Lock()
        self._leases = _LeasesByLoop()

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[AsyncEngine]:
        """Lend the running loop's present engine."""
        lease = self._take(asyncio.get_running_loop())
        try:
            yield lease.engine
        finally:
            with self._lock:
                lease.users -= 1
                over = lease.is_over
            if over:
                await lease.engine.dispose()

    async def close(self) -> None:
        """Close the connections, at the latest when the operations under way are done."""
        if self._pid != os.getpid():
            return
        with self._lock:
            leases, self._leases = dict(self._leases), _LeasesByLoop()
            for lease in leases.values():
                lease.ended = True
            over = {loop: lease.engine for loop, lease in leases.items() if lease.is_over}
        here = asyncio.get_running_loop()
        for loop, engine in over.items():
            if loop is here:
                await engine.dispose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(engine.dispose(), loop)

    def _take(self, loop: asyncio.AbstractEventLoop) -> _Lease[AsyncEngine]:
        if self._pid != os.getpid():
            _inherited.append(self._leases)
            self._pid, self._lock, self._leases = os.getpid(), Lock(), _LeasesByLoop()
        with self._lock:
            if loop not in self._leases:
                self._leases[loop] = _Lease(_like_async(self._pattern))
            lease = self._leases[loop]
            lease.users += 1
            return lease


def _like(pattern: Engine) -> Engine:
    """Return an engine with the same settings and a pool of its own."""
    return Engine(pattern.pool.recreate(), pattern.dialect, pattern.url, hide_parameters=True)


def _like_async(pattern: AsyncEngine) -> AsyncEngine:
    from sqlalchemy.ext.asyncio import AsyncEngine

    return AsyncEngine(_like(pattern.sync_engine))
