"""Ends awaiting a server that neither answers nor hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

_abandoned: set[asyncio.Task[Any]] = set()  # asyncio itself would let them be collected half way


class TookTooLong(TimeoutError):
    """The work was given up."""


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Await the work, or raise TookTooLong after that time.

    Unlike `asyncio.timeout`, it does not wait for the work to end once it is cancelled: a driver may
    use that moment to ask the server, which does not answer, to stop.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TookTooLong(f"it did not answer within {seconds:g} seconds")
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_bury)
    task.cancel()


def _bury(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, or asyncio would log that nobody did
