"""Asking the host who is signed in."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from ca_embed._host.calls import call_host, described
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._host.threads import Pool, Threads
from ca_embed._host.user_ids import user_id_of
from ca_embed.errors import NotSignedIn

Identify = Callable[[Any], Awaitable[Any] | Any]

_T = TypeVar("_T")

_WHERE = "identify"  # what `on_error` functions are told


def identify_sync(identify: Identify | None, native: object, error_hooks: ErrorHooks) -> str:
    """Return the signed-in user's id; block while the host's function runs. Raises NotSignedIn."""
    if identify is None:
        raise NotSignedIn("Embed was built without identify, so no one can be signed in")
    try:
        return _user_id(identify, call_host(identify, native))
    except (NotSignedIn, KeyboardInterrupt):  # the operator ends the process
        raise
    except BaseException as error:  # noqa: BLE001 (the host may raise anything: gevent's Timeout, SystemExit)
        error_hooks.report(error, _WHERE)
        raise _identify_failed(error) from None


async def identify_async(
    identify: Identify | None, native: object, error_hooks: ErrorHooks, threads: Threads
) -> str:
    """Return the signed-in user's id: await a coroutine function, give any other a thread.

    Raises NotSignedIn, or StorageUnavailable if no thread is free within 5 seconds.
    """
    if identify is None:
        return identify_sync(None, native, error_hooks)
    if not is_coroutine_function(identify):
        return await in_thread(partial(identify_sync, identify, native, error_hooks), threads)
    try:
        return _user_id(identify, await identify(native))
    except (NotSignedIn, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_cancelled(error):
            raise
        if error_hooks:
            await in_thread(partial(error_hooks.report, error, _WHERE), threads)
        raise _identify_failed(error) from None


def is_cancelled(error: BaseException) -> bool:
    """Tell whether the server cancels this request. The host may also raise a CancelledError of its own."""
    import asyncio

    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def in_thread(call: Callable[[], _T], threads: Threads) -> _T:
    """Make a call that may block. Many run side by side, each with the context of its request."""
    from asgiref.sync import SyncToAsync, sync_to_async

    if SyncToAsync.thread_sensitive_context.get(None) is not None:
        # Inside Django's own handler: the connection of its ORM belongs to the thread of this context.
        return await sync_to_async(call, thread_sensitive=True)()
    return await threads.run(Pool.IDENTIFY, call)


def _user_id(identify: Identify, identified: object) -> str:
    """Return what `identify` returned as text. None, an empty text and False mean: no one is signed in."""
    if identified is None or identified is False or identified == "":
        raise NotSignedIn("identify says that no one is signed in")
    try:
        return user_id_of(identified)
    except (TypeError, ValueError) as problem:
        raise NotSignedIn(
            f"{_named(identify)} returned no user id: {problem}; return the user's id, like user.id, or None",
            reason="identify_failed",
        ) from None


def _named(identify: Identify) -> str:
    """Return "identify", and the name of the function, by which the operator finds it."""
    name = getattr(identify, "__name__", "")
    return f"identify ({name})" if name.isidentifier() and name != "identify" else "identify"


def is_coroutine_function(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (an object whose call is a coroutine function)
    )


def _identify_failed(error: BaseException) -> NotSignedIn:
    """Sign no one in, and tell the operator why: the host's own function failed."""
    return NotSignedIn(f"identify raised {described(error)}", reason="identify_failed")
