"""Asking the host whether the visitor is of its staff, who may use the operator's page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ca_embed._host.calls import call_host, described
from ca_embed._host.error_hooks import ErrorHooks
from ca_embed._host.identify import in_thread, is_cancelled, is_coroutine_function
from ca_embed._host.threads import Threads
from ca_embed._host.user_ids import is_user_id
from ca_embed.errors import NotFound

Staff = Callable[[Any], Awaitable[Any] | Any]

_WHERE = "staff"  # what `on_error` functions are told


def staff_sync(staff: Staff | None, native: object, error_hooks: ErrorHooks) -> str:
    """Return who acts, for the audit trail; block while the host's function runs.

    Raises NotFound for all others: a stranger does not learn that there is such a page.
    """
    if staff is None:
        raise _stranger()
    try:
        answer = call_host(staff, native)
    except KeyboardInterrupt:  # the operator ends the process
        raise
    except BaseException as error:  # noqa: BLE001 (the host may raise anything: gevent's Timeout, SystemExit)
        error_hooks.report(error, _WHERE)
        raise _failed(f"raised {described(error)}") from None
    return _actor(answer)


async def staff_async(staff: Staff | None, native: object, error_hooks: ErrorHooks, threads: Threads) -> str:
    """Return who acts: await a coroutine function, give any other a thread.

    Raises NotFound, or StorageUnavailable if no thread is free within 5 seconds.
    """
    if staff is None:
        raise _stranger()
    if not is_coroutine_function(staff):
        return await in_thread(partial(staff_sync, staff, native, error_hooks), threads)
    try:
        answer = await staff(native)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if is_cancelled(error):
            raise
        if error_hooks:
            await in_thread(partial(error_hooks.report, error, _WHERE), threads)
        raise _failed(f"raised {described(error)}") from None
    return _actor(answer)


def _actor(answer: object) -> str:
    """Return "staff", or "staff NAME" if the function named who it is."""
    if answer is True:
        return "staff"
    if answer is None or answer is False or answer == "":
        raise _stranger()
    if not is_user_id(answer):
        # A user object is true even if no one is signed in, so "true" in Python's sense is not enough.
        raise _failed(f"returned {type(answer).__name__}; return True, False, or the person's name")
    return f"staff {answer}"


def _stranger() -> NotFound:
    return NotFound("not of the staff")


def _failed(what: str) -> NotFound:
    """Let no one in, and tell the operator why: the host's own function is wrong."""
    return NotFound(f"staff {what}", reason="staff_failed")
