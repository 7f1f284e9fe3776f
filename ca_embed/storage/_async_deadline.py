"""A time limit for awaiting a server that neither answers nor closes the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

_abandoned: set[asyncio.Task[Any]] = set()  # asyncio keeps no strong reference, so a task could be collected


class DeadlineExceeded(TimeoutError):
    """The work took longer than its time limit, and was cancelled."""


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Await the work and return its result. After this time, cancel it and raise DeadlineExceeded.

    Unlike `asyncio.timeout`, this does not wait until the cancelled work has ended. A driver that is
    cancelled may first ask the server to stop, and wait for a server that does not answer.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise DeadlineExceeded(f"it did not answer within {seconds:g} seconds")
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_discard_abandoned)
    task.cancel()


def _discard_abandoned(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # otherwise asyncio logs that the exception was never retrieved
