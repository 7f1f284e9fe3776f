"""Lends what must not be closed while somebody uses it: pools of connections, engines, clients.

One that is closed while it is used would get back, and keep, a connection nobody closes. The same goes
for a fork, after which the connections in a pool are the parent's, and for the event loops of
asynchronous drivers, each of which needs connections of its own.
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

inherited: list[object] = []  # what holds connections of the parent process; to close one would harm it


@dataclass(slots=True)
class Lease(Generic[_R]):
    """A resource, how many use it now, and whether it is to be closed when nobody does."""

    resource: _R
    users: int = 0
    ended: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it is to be closed now."""
        return self.ended and not self.users


class OneForEachLoop(Generic[_R]):
    """A resource for each event loop, made when the loop first asks, and anew after `close` and a fork."""

    _leases: dict[asyncio.AbstractEventLoop, Lease[_R]]
    _over: dict[asyncio.AbstractEventLoop, list[_R]]  # to be disposed of, each on its loop
    _disposing: set[asyncio.Task[None]]  # asyncio itself would let them be collected half way

    def __init__(self, make: Callable[[], _R], dispose: Callable[[_R], Awaitable[object]]) -> None:
        """`make` is called without an argument; `dispose` on the loop that the resource belongs to."""
        self._make = make
        self._dispose = dispose
        self._begin()

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[_R]:
        """Lend the running loop's present resource."""
        lease = self._take(asyncio.get_running_loop())
        try:
            yield lease.resource
        finally:
            with self._lock:
                lease.users -= 1
                over = lease.is_over
            if over:
                await self._dispose(lease.resource)

    async def close(self) -> None:
        """Dispose of all, of those in use when the operations under way are done."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._forget_closed_loops()
            leases, self._leases = self._leases, {}
            for loop, lease in leases.items():
                lease.ended = True
                if lease.is_over:
                    self._over.setdefault(loop, []).append(lease.resource)
            others = [loop for loop in self._over if loop is not asyncio.get_running_loop()]
        await self._dispose_of_this_loop()
        for loop in others:
            with suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(self._start_disposing, loop)

    def _start_disposing(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._dispose_of_this_loop())
        self._disposing.add(task)
        task.add_done_callback(self._disposing.discard)

    async def _dispose_of_this_loop(self) -> None:
        """Dispose of what is over. A loop that is about to end does not wait for others to ask it to."""
        with self._lock:
            over = self._over.pop(asyncio.get_running_loop(), [])
        for resource in over:
            await self._dispose(resource)

    def _take(self, loop: asyncio.AbstractEventLoop) -> Lease[_R]:
        if self._pid != os.getpid():
            inherited.extend([self._leases, self._over, self._disposing])
            self._begin()
        with self._lock:
            self._forget_closed_loops()
            if loop not in self._leases:
                self._leases[loop] = Lease(self._make())
            lease = self._leases[loop]
            lease.users += 1
            return lease

    def _forget_closed_loops(self) -> None:
        """Drop what nobody can dispose of: a resource refers to its loop, which nothing else frees."""
        for gone in [loop for loop in {*self._leases, *self._over} if loop.is_closed()]:
            self._leases.pop(gone, None)
            self._over.pop(gone, None)

    def _begin(self) -> None:
        self._lock = Lock()
        self._leases = {}
        self._over = {}
        self._disposing = set()
        self._pid = os.getpid()
