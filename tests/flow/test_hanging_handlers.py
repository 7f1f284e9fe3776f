"""Handlers that hang, under ASGI: acknowledgements leave all the same, and no run is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ca_embed import Embed
from ca_embed._registration import HANDLER_LEASE
from tests.doors.clients import AsgiClient, http_scope
from tests.flow.kit import Clock, build, closing, delivery, wait_until

LEASE_IS_OVER = HANDLER_LEASE + 1


class Hang:
    """A handler that hangs for each registration whose name says so, until it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.let_go = threading.Event()

    def __call__(self, registration: Any, credentials: Any) -> None:
        self.begun.append(registration.registration_id)
        if registration.registration_id.startswith("hang"):
            assert self.let_go.wait(60)
        self.done.append(registration.registration_id)


@pytest.fixture
def hang() -> Iterator[Hang]:
    """A handler that hangs, let go at the end."""
    one = Hang()
    yield one
    one.let_go.set()


def with_handler(hang: Hang, clock: Clock) -> Embed:
    """Build an Embed that has this handler."""
    embed = build(clock=clock)
    embed.on_completed(hang, name="hang")
    return embed


def test_eight_hanging_handlers_stop_no_acknowledgement(hang: Hang) -> None:
    """Eight deliveries whose handler hangs, and a ninth, are acknowledged within seconds. None is lost.

    The handler of the ninth does not run late and unasked: `reconcile()` runs it.
    """
    with closing(embed := with_handler(hang, clock := Clock()), client := AsgiClient(embed.asgi)):

        async def accept(registration_id: str) -> float:
            before = time.monotonic()
            webhook = delivery(registration_id=registration_id, at=clock())
            answer = await client.ask("POST", "/webhook", *webhook)
            assert answer.json == {"status": "accepted"}
            return time.monotonic() - before

        async def flood() -> list[float]:
            hanging = [asyncio.create_task(accept(f"hang{number}")) for number in range(8)]
            while len(hang.begun) < 8:  # noqa: ASYNC110 (handlers begin in threads)
                await asyncio.sleep(0.01)
            return [await accept("ninth"), *await asyncio.gather(*hanging)]

        assert max(client.run(flood())) < 10
        assert sorted(hang.begun) == [f"hang{number}" for number in range(8)]
        hang.let_go.set()
        client.run(_until(lambda: len(hang.done) == 8))
        clock.advance(1)
        assert client.run(embed.areconcile()).handlers_done == 1
        assert hang.done[8:] == ["ninth"]
        clock.advance(LEASE_IS_OVER)
        assert client.run(embed.areconcile()).handlers_done == 0


def test_a_handler_that_outlives_its_request(hang: Hang, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that still runs when the response leaves keeps its claim, and is noted as done at its end."""
    monkeypatch.setattr("ca_embed.http._handlers._WAIT", 2.1)
    with closing(embed := with_handler(hang, clock := Clock()), client := AsgiClient(embed.asgi)):
        assert client.deliver(delivery(registration_id="hang", at=clock())).json == {"status": "accepted"}
        assert client.run(embed.areconcile()).handlers_done == 0
        assert hang.begun == ["hang"]
        hang.let_go.set()
        client.run(_until(lambda: hang.done == ["hang"]))
        wait_until(lambda: _states(embed, "hang") == ["done"])
        clock.advance(LEASE_IS_OVER)
        assert client.run(embed.areconcile()).handlers_done == 0
        assert hang.begun == ["hang"]


def test_a_cancelled_request_cancels_no_handler() -> None:
    """If the server cancels a request, an asynchronous handler of it runs to its end."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow(registration: Any, credentials: Any) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        ended.set()

    with closing(embed := build(), client := AsgiClient(embed.asgi)):
        embed.on_completed(slow, name="slow")

        async def cancel() -> None:
            headers, body = delivery()
            scope = http_scope("POST", "/webhook", list(headers.items()))
            request = asyncio.create_task(embed.asgi(scope, partial(_received, body), _unsent))
            await begun.wait()
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            await asyncio.wait_for(ended.wait(), 20)
            await _until(lambda: _states(embed, "abc123def456ghi789jkl0") == ["done"])

        client.run(cancel())


async def _received(body: bytes) -> Any:
    return {"type": "http.request", "body": body}


async def _unsent(message: Any) -> None:
    raise AssertionError("the request was cancelled before it could answer")


async def _until(true: Any) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true in time")


def _states(embed: Embed, registration_id: str) -> list[str]:
    registration = embed.registration(registration_id)
    assert registration is not None
    return [handler.state for handler in registration.handlers]
