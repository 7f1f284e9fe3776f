"""Lends pools of connections, engines and clients, and closes each when its last user has returned it.

If a pool is closed while it is in use, it later gets connections back and never closes them. After a
fork, the connections in a pool belong to the parent process, so the child needs a new pool. Each event
loop needs a pool of its own, because an asynchronous connection belongs to one loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
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
    _unused: dict[asyncio.AbstractEventLoop, list[_R]]  # to be closed, each on its loop
    _disposing: set[asyncio.Task[None]]  # kept here: asyncio keeps no strong reference to a task

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
            self._forget_closed_loops()
            closing, self._resources = self._resources, {}
            for loop, counted in closing.items():
                counted.closing = True
                if counted.must_close:
                    self._unused.setdefault(loop, []).append(counted.resource)
            others = [loop for loop in self._unused if loop is not asyncio.get_running_loop()]
        await self._dispose_of_this_loop()
        for loop in others:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._start_disposing, loop)

    def _start_disposing(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._dispose_of_this_loop())
        self._disposing.add(task)
        task.add_done_callback(self._disposing.discard)

    async def _dispose_of_this_loop(self) -> None:
        """Close what is unused on this loop. So a loop that ends soon closes its own without being asked."""
        with self._lock:
            unused = self._unused.pop(asyncio.get_running_loop(), [])
        for resource in unused:
            await self._dispose(resource)

    def _take(self, loop: asyncio.AbstractEventLoop) -> CountedResource[_R]:
        if self._pid != os.getpid():
            inherited.extend([self._resources, self._unused, self._disposing])
            self._reset()
        with self._lock:
            self._forget_closed_loops()
            if loop not in self._resources:
                self._resources[loop] = CountedResource(self._make())
            counted = self._resources[loop]
            counted.users += 1
            return counted

    def _forget_closed_loops(self) -> None:
        """Drop the resources of closed loops. A resource refers to its loop, so neither would be freed."""
        for gone in [loop for loop in {*self._resources, *self._unused} if loop.is_closed()]:
            self._resources.pop(gone, None)
            self._unused.pop(gone, None)

    def _reset(self) -> None:
        self._lock = Lock()
        self._resources = {}
        self._unused = {}
        self._disposing = set()
        self._pid = os.getpid()
