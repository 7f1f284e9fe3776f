"""Calling the host's own functions, synchronous or not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def call_host(function: Callable[..., Any], *args: object) -> Any:
    """Call a function of the host from a synchronous thread, and return its result.

    A coroutine runs on the host's own event loop, if this thread was started from one.
    """
    result = function(*args)
    if not inspect.isawaitable(result):
        return result
    from asgiref.sync import async_to_sync

    async def wait() -> Any:
        return await result

    return async_to_sync(wait)()


def described(error: BaseException) -> str:
    """Say what was raised and where. The message and the traceback may quote secrets, so neither is in it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
    return f"{type(error).__name__} at {place}"
