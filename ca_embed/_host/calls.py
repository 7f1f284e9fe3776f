"""Calling the host's own functions, synchronous or not, and asking it who is signed in."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeGuard
from uuid import UUID

from ca_embed.errors import NotSignedIn

Identify = Callable[[Any], Awaitable[Any] | Any]
UserId = str | int | UUID

_LONGEST_USER_ID = 255


def is_user_id(user_id: object) -> TypeGuard[str]:
    """Tell whether this can be a user id: text of 1 to 255 printable characters."""
    return isinstance(user_id, str) and 0 < len(user_id) <= _LONGEST_USER_ID and user_id.isprintable()


def user_id_of(value: object) -> str:
    """Return a user's id as text: one rule for what `identify` returns and for what Python calls name.

    Raises TypeError or ValueError, saying what is wrong and never what was given.
    """
    if not isinstance(value, str | int | UUID) or isinstance(value, bool):
        raise TypeError(f"a user id is text, an integer or a UUID, not {type(value).__name__}")
    user_id = str.__str__(value) if isinstance(value, str) else _digits(value)
    if not is_user_id(user_id):
        raise ValueError(f"a user id has 1 to {_LONGEST_USER_ID} characters, all printable")
    return user_id


def _digits(value: int | UUID) -> str:
    try:
        return str(value)
    except ValueError:  # Python writes no integer of thousands of digits
        return ""


def call_host(function: Callable[..., Any], *args: object) -> Any:
    """Call from a synchronous thread; a coroutine is run on the host's own loop, if there is one."""
    result = function(*args)
    if not inspect.isawaitable(result):
        return result
    from asgiref.sync import async_to_sync

    async def wait() -> Any:
        return await result

    return async_to_sync(wait)()


def identify_now(identify: Identify | None, native: object) -> str:
    """Return the signed-in user's id. Raises NotSignedIn."""
    if identify is None:
        raise NotSignedIn("Embed was built without identify, so nobody can be signed in")
    try:
        return _user_id(call_host(identify, native))
    except NotSignedIn:
        raise
    except Exception as error:  # noqa: BLE001 (the host may raise anything)
        raise _identify_failed(error) from None


async def identify_later(identify: Identify | None, native: object) -> str:
    """Do the same on an event loop: a coroutine function is awaited there, any other gets a thread."""
    from asgiref.sync import sync_to_async

    if identify is None or not _is_coroutine_function(identify):
        return await sync_to_async(identify_now, thread_sensitive=True)(identify, native)
    try:
        return _user_id(await identify(native))
    except NotSignedIn:
        raise
    except Exception as error:  # noqa: BLE001 (the host may raise anything)
        raise _identify_failed(error) from None


def _user_id(answer: object) -> str:
    """Turn what `identify` returned into text; None, an empty text and False mean nobody."""
    if answer is None or answer is False or answer == "":
        raise NotSignedIn("identify found nobody signed in")
    return user_id_of(answer)


def _is_coroutine_function(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (an object whose call is a coroutine)
    )


def _identify_failed(error: Exception) -> NotSignedIn:
    """Fail closed, and tell the operator why: the host's own function is at fault."""
    return NotSignedIn(f"identify raised {described(error)}", reason="identify_failed")


def described(error: BaseException) -> str:
    """Say what was raised and where: not the message, nor the traceback, for both may quote secrets."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
    return f"{type(error).__name__} at {place}"
