"""Calling the host's own functions, synchronous or not."""

from __future__ import annotations

import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


def call_host(function: Callable[..., Any], *args: object) -> Any:
    """Call a function of the host from a synchronous thread, and return its result.

    A coroutine runs on the host's own event loop, if this thread was started from one. It raises what the
    function raises.
    """
    result = function(*args)
    if not inspect.isawaitable(result):
        return result
    returned, raised = _run(partial(_outcome, result))
    if raised is not None:
        raise raised
    return returned


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Return what an awaitable returns and what it raises.

    asyncio would let a SystemExit through to the event loop, which would end the host's server.
    """
    from asyncio import CancelledError

    try:
        return await awaitable, None
    except CancelledError:  # of the request, perhaps: asyncio has to see it
        raise
    except BaseException as error:  # noqa: BLE001 (the host may raise anything)
        return None, error


def _run(make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine from a synchronous thread to its end."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        return _run_beside_gevent(make)
    from asgiref.sync import async_to_sync

    return async_to_sync(make)()


def _run_beside_gevent(make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine in a thread of the system, while the other greenlets go on.

    All greenlets of a server share one thread of the system, and asyncio allows one running event loop in
    each. So two requests at once could not each have one in their greenlets.
    """
    import asyncio

    context, hub = contextvars.copy_context(), sys.modules["gevent"].get_hub()

    def run() -> tuple[_T | None, BaseException | None]:
        try:
            return context.run(asyncio.run, make()), None
        except BaseException as error:  # noqa: BLE001 (gevent would print its traceback, which may quote secrets)
            return None, error

    returned, raised = hub.threadpool.apply(run)
    if raised is not None:
        raise raised
    return cast("_T", returned)


def described(error: BaseException) -> str:
    """Say what was raised and where. The message and the traceback may quote secrets, so neither is in it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
    return f"{type(error).__name__} at {place}"
