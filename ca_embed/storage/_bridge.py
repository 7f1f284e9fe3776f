"""Runs an asynchronous storage for the synchronous core."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from asgiref.sync import SyncToAsync, async_to_sync

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._async_deadline import DeadlineExceeded, within
from ca_embed.storage._checks import is_async
from ca_embed.storage._existing import create_nothing
from ca_embed.storage._forks import LONGEST_OPERATION, ForkGate
from ca_embed.storage._loop_thread import LoopThread, start_loop_thread

if TYPE_CHECKING:
    from ca_embed.storage._base import AsyncStorage, DueCursor, SealedRecord, Storage

_P = ParamSpec("_P")
_T = TypeVar("_T")


def as_sync(storage: Storage | AsyncStorage) -> Storage:
    """Return a storage with plain methods: the given storage, or a SyncBridge to an asynchronous one."""
    return SyncBridge(storage) if is_async(storage) else cast("Storage", storage)


class SyncBridge:
    """Presents an AsyncStorage as a Storage.

    In a thread that asgiref's `sync_to_async` started (as in an ASGI application), a coroutine runs on the
    event loop that called `sync_to_async`: the host's own loop. In any other thread it runs on one loop
    that the bridge keeps, so that a driver can keep its connections between calls. A coroutine that takes
    longer than the protocol allows is cancelled, and the call raises `StorageUnavailable`.
    """

    def __init__(self, storage: AsyncStorage) -> None:
        """Keep the storage. The bridge starts its own loop when a call first needs one."""
        self._storage = storage
        self._gate = ForkGate()
        self._lock = Lock()
        self._own: LoopThread | None = None

    def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        return self._call(self._storage.load, registration_id)

    def save(self, record: SealedRecord) -> bool:
        """See `Storage.save`."""
        return self._call(self._storage.save, record)

    def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage.delete`."""
        return self._call(self._storage.delete, registration_id, version)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage.due`."""
        return self._call(self._storage.due, by, limit=limit, after=after)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage.list`."""
        return self._call(self._storage.list, user_id=user_id, limit=limit, after=after)

    def _create_nothing(self) -> None:
        create_nothing(self._storage)

    def close(self) -> None:
        """Close the storage. Close the bridge's own loop as soon as no call runs on it."""
        closed = _host_loop_is_waiting()
        if closed:
            async_to_sync(self._storage.close)()
        with self._gate.passing():
            with self._lock:
                own, self._own = self._own, None
                unused = own is not None and own.pid == os.getpid() and own.calls == 0
            if own and unused:
                self._end(own)
            elif own is None and not closed:
                self._end(
                    start_loop_thread()
                )  # closing needs a loop; what is open belongs to loops of the host

    def _call(self, method: Callable[_P, Coroutine[Any, Any, _T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if _host_loop_is_waiting():
            return async_to_sync(_with_time_limit)(method(*args, **kwargs))
        with self._gate.passing(), self._own_loop() as own:
            return own.run(_with_time_limit(method(*args, **kwargs)))

    @contextmanager
    def _own_loop(self) -> Generator[LoopThread]:
        with self._lock:
            if self._own is None or self._own.pid != os.getpid():  # threads do not survive a fork
                self._own = start_loop_thread()
            own = self._own
            own.calls += 1
        try:
            yield own
        finally:
            with self._lock:
                own.calls -= 1
                unused = own.calls == 0 and own is not self._own
            if unused:
                self._end(own)

    def _end(self, own: LoopThread) -> None:
        """Close what the storage has opened on this loop, then the loop. No new call can reach it."""
        own.run(self._storage.close())
        own.stop()


async def _with_time_limit(work: Coroutine[Any, Any, _T]) -> _T:
    """Await the storage with the time limit of the protocol, because a driver may have no time limit."""
    try:
        return await within(LONGEST_OPERATION, work)
    except DeadlineExceeded:
        raise StorageUnavailable(
            f"the storage did not answer in time ({LONGEST_OPERATION:g} seconds)"
        ) from None


def _host_loop_is_waiting() -> bool:
    """Return True if asgiref started this thread, in this process, from a loop that still runs."""
    here = SyncToAsync.threadlocal
    loop: asyncio.AbstractEventLoop | None = getattr(here, "main_event_loop", None)
    return loop is not None and loop.is_running() and here.main_event_loop_pid == os.getpid()
