"""Lends what must not be closed while somebody uses it: pools of connections, engines, clients.

One that is closed while it is used would get back, and keep, a connection nobody closes. The same goes
for a fork, after which the connections in a pool are the parent's, and for the event loops of
asynchronous drivers, each of which needs connections of its own.
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
            leases, self._leases = self._leases, {}
            for lease in leases.values():
                lease.ended = True
            over = {loop: lease.resource for loop, lease in leases.items() if lease.is_over}
        here = asyncio.get_running_loop()
        for loop, resource in over.items():
            if loop is here:
                await self._dispose(resource)
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(self._disposed(resource), loop)

    async def _disposed(self, resource: _R) -> None:
        await self._dispose(resource)

    def _take(self, loop: asyncio.AbstractEventLoop) -> Lease[_R]:
        if self._pid != os.getpid():
            inherited.append(self._leases)
            self._begin()
        with self._lock:
            for gone in [other for other in self._leases if other.is_closed()]:
                del self._leases[gone]  # a resource refers to its loop, which nobody else lets go
            if loop not in self._leases:
                self._leases[loop] = Lease(self._make())
            lease = self._leases[loop]
            lease.users += 1
            return lease

    def _begin(self) -> None:
        self._lock = Lock()
        self._leases = {}
        self._pid = os.getpid()
