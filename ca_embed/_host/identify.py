"""Asking the host who is signed in."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ca_embed._host.calls import call_host, described
from ca_embed._host.user_ids import user_id_of
from ca_embed.errors import NotSignedIn

Identify = Callable[[Any], Awaitable[Any] | Any]


def identify_sync(identify: Identify | None, native: object) -> str:
    """Return the signed-in user's id; block while the host's function runs. Raises NotSignedIn."""
    if identify is None:
        raise NotSignedIn("Embed was built without identify, so no one can be signed in")
    try:
        return _user_id(identify, call_host(identify, native))
    except NotSignedIn:
        raise
    except Exception as error:  # noqa: BLE001 (the host may raise anything)
        raise _identify_failed(error) from None


async def identify_async(identify: Identify | None, native: object) -> str:
    """Return the signed-in user's id: await a coroutine function, give any other a thread.

    Raises NotSignedIn.
    """
    from asgiref.sync import sync_to_async

    if identify is None or not _is_coroutine_function(identify):
        return await sync_to_async(identify_sync, thread_sensitive=True)(identify, native)
    try:
        return _user_id(identify, await identify(native))
    except NotSignedIn:
        raise
    except Exception as error:  # noqa: BLE001 (the host may raise anything)
        raise _identify_failed(error) from None


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


def _is_coroutine_function(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 (an object whose call is a coroutine function)
    )


def _identify_failed(error: Exception) -> NotSignedIn:
    """Sign no one in, and tell the operator why: the host's own function failed."""
    return NotSignedIn(f"identify raised {described(error)}", reason="identify_failed")
