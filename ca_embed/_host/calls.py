"""Calling the host's own functions, synchronous or not."""

from __future__ import annotations

import contextvars
import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from types import FrameType
from typing import Any, TypeVar, cast

_T = TypeVar("_T")

_STANDARD_LIBRARY = os.__file__.removesuffix("os.py")
_CA_EMBED = __file__[: -len("_host/calls.py")]
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")


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
    """Say what was raised and where: at the innermost line of the host's own code, if any is known.

    The message and the traceback may quote secrets, so neither is in it.
    """
    frames = list(_frames(error))
    if not frames:
        return f"{type(error).__name__} at an unknown place"
    frame, line = _hosts_own(frames) or frames[-1]
    return f"{type(error).__name__} at {frame.f_code.co_filename}:{line}"


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _hosts_own(frames: list[tuple[FrameType, int]]) -> tuple[FrameType, int] | None:
    """Return the innermost frame that is no library's, with its line.

    An application may be installed like a library. Then its package is that of the first frame that is
    neither ours nor the standard library's: there we called the host.
    """
    called = [one for one in frames if not _is_in(one[0], _CA_EMBED) and not _is_standard(one[0])]
    own = [one for one in called if not _is_installed(one[0])]
    if not own:
        called = [one for one in called if _package(one[0]) != "asgiref"]  # it awaits for us
        own = [one for one in called if _package(one[0]) == _package(called[0][0])]
    return own[-1] if own else None


def _is_in(frame: FrameType, folder: str) -> bool:
    return frame.f_code.co_filename.startswith(folder)


def _is_standard(frame: FrameType) -> bool:
    frozen = frame.f_code.co_filename.startswith("<frozen ")
    return frozen or (_is_in(frame, _STANDARD_LIBRARY) and not _is_installed(frame))


def _is_installed(frame: FrameType) -> bool:
    return _INSTALLED.search(frame.f_code.co_filename) is not None


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
