"""Lends SQLAlchemy engines, each with its pool of connections, to operations."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from ca_embed.storage._lending import CountedResource, ResourcePerLoop, inherited

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class SharedEngine:
    """The host's own engine. Only the host closes its connections."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine. It connects when it is first used."""
        self._engine = engine
        self._pid = os.getpid()

    @contextmanager
    def lend(self) -> Generator[Engine]:
        """Lend the engine for the length of the block. After a fork, the child gets an empty pool first."""
        if self._pid != os.getpid():
            inherited.append(self._engine.pool)
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        yield self._engine

    def close(self) -> None:
        """Do nothing: the host closes its engine."""


class OwnEngine:
    """An engine that the storage creates, and creates again after each `close` and each fork."""

    def __init__(self, pattern: Engine) -> None:
        """Keep `pattern`. Each engine gets its settings and a pool of its own."""
        self._pattern = pattern
        self._pid = os.getpid()
        self._lock = Lock()
        self._current = CountedResource(_copy_of(pattern))

    @contextmanager
    def lend(self) -> Generator[Engine]:
        """Lend the current engine for the length of the block."""
        counted = self._take()
        try:
            yield counted.resource
        finally:
            with self._lock:
                counted.users -= 1
                must_close = counted.must_close
            if must_close:
                counted.resource.dispose()

    def close(self) -> None:
        """Close the connections. If operations are running, the last one closes them."""
        with self._lock:
            counted = self._current
            counted.closing = True
            self._current = CountedResource(_copy_of(self._pattern))
            must_close = counted.must_close and self._pid == os.getpid()
        if must_close:
            counted.resource.dispose()

    def _take(self) -> CountedResource[Engine]:
        if self._pid != os.getpid():
            inherited.append(self._current)
            self._pid = os.getpid()
            self._lock = Lock()
            self._current = CountedResource(_copy_of(self._pattern))
        with self._lock:
            self._current.users += 1
            return self._current


def engine_per_loop(pattern: AsyncEngine) -> ResourcePerLoop[AsyncEngine]:
    """Return one engine for each event loop, with the settings of `pattern` and a pool of its own."""
    from sqlalchemy.ext.asyncio import AsyncEngine

    return ResourcePerLoop(lambda: AsyncEngine(_copy_of(pattern.sync_engine)), AsyncEngine.dispose)


def _copy_of(pattern: Engine) -> Engine:
    """Return an engine with the same settings and a pool of its own."""
    return Engine(pattern.pool.recreate(), pattern.dialect, pattern.url, hide_parameters=True)
