"""Host functions that raise what is no Exception, as gevent's and eventlet's Timeout are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ca_embed import Embed
from tests.doors.clients import AsgiClient, http_scope
from tests.doors.fixtures import ClientOf
from tests.flow.kit import build, closing, delivery


class Timeout(BaseException):
    """Like the Timeout of gevent."""


RAISED = [Timeout("5 seconds"), GeneratorExit(), SystemExit(1), asyncio.CancelledError()]


def plainly(error: BaseException) -> Callable[..., Any]:
    """A function that raises this."""

    def function(*given: Any) -> None:
        raise error

    return function


def asynchronously(error: BaseException) -> Callable[..., Any]:
    """A coroutine function that raises this."""

    async def function(*given: Any) -> None:
        raise error

    return function


def by_a_coroutine(error: BaseException) -> Callable[..., Any]:
    """A plain function that returns a coroutine, which raises this."""
    return lambda *given: asynchronously(error)()


KINDS = [plainly, asynchronously, by_a_coroutine]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_identify(client_of: ClientOf, caplog: pytest.LogCaptureFixture, kind: Any, error: Any) -> None:
    """If `identify` raises it, no one is signed in, and the log names it and its place."""
    with caplog.at_level(logging.WARNING, "ca_embed"):
        answer = client_of(build(identify=kind(error))).get("/")
    assert (answer.status, answer.code) == (401, "not_signed_in")
    assert f"page reason=identify_failed (identify raised {type(error).__name__} at " in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_a_handler(client_of: ClientOf, caplog: pytest.LogCaptureFixture, kind: Any, error: Any) -> None:
    """If a handler raises it, the response does not change, and the log names it."""
    embed = build()
    embed.on_completed(kind(error), name="connect")
    assert client_of(embed).deliver(delivery()).json == {"status": "accepted"}
    assert "handler reason=failed name=connect" in caplog.text
    assert type(error).__name__ in caplog.text


def test_a_request_that_is_cancelled_in_identify() -> None:
    """If the server cancels the request, its task ends as cancelled. It does not answer 401."""
    begun = asyncio.Event()

    async def identify(scope: Any) -> None:
        begun.set()
        await asyncio.sleep(60)

    with closing(embed := build(identify=identify), client := AsgiClient(embed.asgi)):
        client.run(_cancel(embed, begun))


async def _cancel(embed: Embed, begun: asyncio.Event) -> None:
    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        raise AssertionError("a cancelled request was answered")

    request = asyncio.create_task(embed.asgi(http_scope("GET", "/"), receive, send))
    await begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
