"""The two drivers: one takes an endpoint's steps in the caller's thread, one on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, AnyStr

from ca_embed._core import Core, HasCore
from ca_embed._frames import clear_locals
from ca_embed._host.identify import Identify, identify_async, identify_sync
from ca_embed._host.staff import staff_async, staff_sync
from ca_embed.assets._html import Csrf
from ca_embed.http._body import announced_length, checked_body, read_chunks
from ca_embed.http._handlers import run_in_time
from ca_embed.http._messages import Request, Response
from ca_embed.http._paths import path_below
from ca_embed.http._routes import response_to
from ca_embed.http._steps import Blocking, IdentifyStaff, IdentifyUser, ReadBody, RunHandlers, Step


def respond(embed: HasCore, request: Request, read_body: Callable[[], bytes]) -> Response:
    """Answer a request in the thread of the caller. For adapters of frameworks without an event loop.

    read_body: returns the whole body; called once at most, and only if the body is needed. Use
        `read_stream`, which stops at 64 KiB. A body of another length than announced is refused in any case.
    """
    steps = response_to(embed._core, request)
    # Holds a result until it is sent on. In a variable, a body would stay in this frame, and tools that
    # report errors would send it.
    results: list[Any] = []
    try:
        step = next(steps)
        while True:
            try:
                results.append(_take(embed._core, request, read_body, step))
            except Exception as error:  # noqa: BLE001 (the endpoint catches it or lets it through)
                step = steps.throw(error)
            else:
                step = steps.send(results.pop())
    except StopIteration as end:
        response: Response = end.value
        return response
    except BaseException as error:
        clear_locals(error)  # the host's server gets it
        raise


async def arespond(embed: HasCore, request: Request, read_body: Callable[[], Awaitable[bytes]]) -> Response:
    """Answer a request on an event loop. For adapters of frameworks that have one.

    Calls that block run in a thread.

    read_body: returns the whole body; awaited once at most, and only if the body is needed. Use
        `read_chunks`, which stops at 64 KiB. A body of another length than announced is refused in any case.
    """
    steps = response_to(embed._core, request)
    # Holds a result until it is sent on. In a variable, a body would stay in this frame, and tools that
    # report errors would send it.
    results: list[Any] = []
    try:
        step = next(steps)
        while True:
            try:
                results.append(await _take_async(embed._core, request, read_body, step))
            except Exception as error:  # noqa: BLE001 (the endpoint catches it or lets it through)
                step = steps.throw(error)
            else:
                step = steps.send(results.pop())
    except StopIteration as end:
        response: Response = end.value
        return response
    except BaseException as error:
        clear_locals(error)  # the host's server gets it
        raise


def _take(core: Core, request: Request, read_body: Callable[[], bytes], step: Step) -> Any:
    match step:
        case ReadBody():
            announced_length(request)  # before a byte is read
            return checked_body(read_body(), request)
        case IdentifyUser():
            return identify_sync(request.identify or core.identify, request.native, core.error_hooks)
        case IdentifyStaff():
            return staff_sync(core.staff, request.native, core.error_hooks)
        case Blocking(pool, call, optional):
            return core.threads.run_here(pool, call, optional=optional)
        case RunHandlers(handover):
            return core.handler_runner.run_safely(handover)


async def _take_async(
    core: Core, request: Request, read_body: Callable[[], Awaitable[bytes]], step: Step
) -> Any:
    match step:
        case ReadBody():
            announced_length(request)  # before a byte is read
            return checked_body(await read_body(), request)
        case IdentifyUser():
            ask = request.identify or core.identify
            return await identify_async(ask, request.native, core.error_hooks, core.threads)
        case IdentifyStaff():
            return await staff_async(core.staff, request.native, core.error_hooks, core.threads)
        case Blocking(pool, call):
            return await core.threads.run(pool, call)
        case RunHandlers(handover):
            return await run_in_time(core, handover)


async def answer(
    embed: HasCore,
    *,
    method: str,
    rest: str | None,
    headers: Iterable[tuple[AnyStr, AnyStr]],
    native: object,
    chunks: Callable[[], AsyncIterable[bytes]],
    identify: Identify | None = None,
    csrf: Callable[[], Csrf | None] | None = None,
    query: str | bytes = "",
) -> Response:
    """Build a Request from these parts, and answer it like `arespond`. For adapters on an event loop.

    The adapter need not check anything.

    method: in capitals.
    rest: the path below the mount, as a catch-all route has matched it; None for the bare mount.
    headers: all of them, in order, as text or bytes.
    native: what `identify` gets, usually the framework's own request.
    chunks: returns the body, chunk by chunk; called only if the body is needed.
    identify: how to find the user of this request; by default the `identify` of the Embed.
    csrf: returns the CSRF token for the hosted page; None if the host has no CSRF protection.
    query: what is behind the question mark of the URL, still percent-encoded.
    """
    request = Request(
        method=method,
        path=path_below(rest),
        headers=tuple((_text(name).lower(), _bytes(value)) for name, value in headers),
        native=native,
        identify=identify,
        csrf=csrf,
        query=_text(query),
    )
    return await arespond(embed, request, lambda: read_chunks(chunks(), request))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _bytes(value: str | bytes) -> bytes:
    return value.encode("latin-1", "replace") if isinstance(value, str) else bytes(value)
