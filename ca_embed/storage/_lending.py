"""Lends pools of connections, engines and clients, and closes each when its last user has returned it.

If a pool is closed while it is in use, it later gets connections back and never closes them. After a
fork, the connections in a pool belong to the parent process, so the child needs a new pool. Each event
loop needs a pool of its own, because an asynchronous connection belongs to one loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

_R = TypeVar("_R")

inherited: list[object] = []  # pools of the parent process: kept, because closing one would break it there


@dataclass(slots=True)
class CountedResource(Generic[_R]):
    """A resource with the number of its users, to be closed when that number is zero and `closing` is set."""

    resource: _R
    users: int = 0
    closing: bool = False

    @property
    def must_close(self) -> bool:
        """Whether the resource must be closed now."""
        return self.closing and not self.users


class ResourcePerLoop(Generic[_R]):
    """Lends one resource for each event loop.

    A resource is created when its loop first needs it, and again after `close` and after a fork.
    """

    _resources: dict[asyncio.AbstractEventLoop, CountedResource[_R]]

    def __init__(self, make: Callable[[], _R], dispose: Callable[[_R], Awaitable[object]]) -> None:
        """`make` creates a resource. `dispose` closes one, and is awaited on the loop of the resource."""
        self._make = make
        self._dispose = dispose
        self._reset()

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[_R]:
        """Lend the resource of the running event loop for the length of the block."""
        counted = self._take(asyncio.get_running_loop())
        try:
            yield counted.resource
        finally:
            with self._lock:
                counted.users -= 1
                must_close = counted.must_close
            if must_close:
                await self._dispose(counted.resource)

    async def close(self) -> None:
        """Close all resources. One that is in use is closed when its last user returns it."""
        if self._pid != os.getpid():
            return
        with self._lock:
            closing, self._resources = self._resources, {}
            for counted in closing.values():
                counted.closing = True
            unused = {loop: counted.resource for loop, counted in closing.items() if counted.must_close}
        here = asyncio.get_running_loop()
        for loop, resource in unused.items():
            if loop is here:
                await self._dispose(resource)
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(self._disposed(resource), loop)

    async def _disposed(self, resource: _R) -> None:
        await self._dispose(resource)

    def _take(self, loop: asyncio.AbstractEventLoop) -> CountedResource[_R]:
        if self._pid != os.getpid():
            inherited.append(self._resources)
            self._reset()
        with self._lock:
            for gone in [other for other in self._resources if other.is_closed()]:
                del self._resources[gone]  # the resource refers to its loop, so neither would be freed
            if loop not in self._resources:
                self._resources[loop] = CountedResource(self._make())
            counted = self._resources[loop]
            counted.users += 1
            return counted

    def _reset(self) -> None:
        self._lock = Lock()
        self._resources = {}
        self._pid = os.getpid()
