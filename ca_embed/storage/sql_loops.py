"""A pool of connections for each event loop: a connection of an asynchronous driver belongs to one."""

from __future__ import annotations

import asyncio
import os
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_Loops = WeakKeyDictionary[asyncio.AbstractEventLoop, "AsyncEngine"]

_inherited: list[_Loops] = []  # connections of the parent process; to close one would harm it


class EnginesByLoop:
    """Engines like the given one, each with a pool of its own, by the loop that they are used from."""

    def __init__(self, pattern: AsyncEngine) -> None:
        """Nothing is opened until somebody asks."""
        self._pattern = pattern
        self._pid = os.getpid()
        self._lock = Lock()
        self._engines = _Loops()

    def here(self) -> AsyncEngine:
        """Return the engine of the running loop."""
        if self._pid != os.getpid():
            self._leave_to_parent()
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._engines:
                self._engines[loop] = self._like_pattern()
            return self._engines[loop]

    async def close(self) -> None:
        """Close all idle connections, each on its own loop."""
        if self._pid != os.getpid():
            return
        here = asyncio.get_running_loop()
        with self._lock:
            engines, self._engines = dict(self._engines), _Loops()
        for loop, engine in engines.items():
            if loop is here:
                await engine.dispose()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(engine.dispose(), loop)

    def _leave_to_parent(self) -> None:
        _inherited.append(self._engines)
        self._pid = os.getpid()
        self._lock = Lock()
        self._engines = _Loops()

    def _like_pattern(self) -> AsyncEngine:
        from sqlalchemy.ext.asyncio import AsyncEngine

        pattern = self._pattern.sync_engine
        return AsyncEngine(
            Engine(pattern.pool.recreate(), pattern.dialect, pattern.url, hide_parameters=True)
        )
