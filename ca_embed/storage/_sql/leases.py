"""Lends SQLAlchemy engines, with their pools of connections, to operations."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ca_embed.storage._leases import Lease, OneForEachLoop, inherited

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


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
            inherited.append(self._engine.pool)
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
        self._lease = Lease(_like(pattern))

    @contextmanager
    def lent(self) -> Generator[Engine]:
        """Lend the present engine."""
        lease = self._take()
        try:
            yield lease.resource
        finally:
            with self._lock:
                lease.users -= 1
                over = lease.is_over
            if over:
                lease.resource.dispose()

    def close(self) -> None:
        """Close the connections, at the latest when the operations under way are done."""
        with self._lock:
            lease = self._lease
            lease.ended = True
            self._lease = Lease(_like(self._pattern))
            over = lease.is_over and self._pid == os.getpid()
        if over:
            lease.resource.dispose()

    def _take(self) -> Lease[Engine]:
        if self._pid != os.getpid():
            inherited.append(self._lease)
            self._pid, self._lock, self._lease = os.getpid(), Lock(), Lease(_like(self._pattern))
        with self._lock:
            self._lease.users += 1
            return self._lease


def engine_for_each_loop(pattern: AsyncEngine) -> OneForEachLoop[AsyncEngine]:
    """Return engines of ours that are like this one."""
    from sqlalchemy.ext.asyncio import AsyncEngine

    return OneForEachLoop(lambda: AsyncEngine(_like(pattern.sync_engine)), AsyncEngine.dispose)


def _like(pattern: Engine) -> Engine:
    """Return an engine with the same settings and a pool of its own."""
    return Engine(pattern.pool.recreate(), pattern.dialect, pattern.url, hide_parameters=True)
