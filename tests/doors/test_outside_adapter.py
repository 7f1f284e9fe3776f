"""An adapter from outside does no checks. The drivers check the body."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from ca_embed import Embed
from ca_embed.http import MAX_BODY, Request, Response, answer, arespond, respond
from ca_embed.testing._webhooks import signature_headers
from tests.flow.kit import TOKEN, build, closing, payload

Deliver = Callable[[Embed, dict[str, str], bytes], Response]


def request_of(headers: dict[str, str]) -> Request:
    """Return the request of a webhook."""
    raw = tuple((name.lower(), value.encode()) for name, value in headers.items())
    return Request("POST", "/webhook", raw, None)


def in_a_thread(embed: Embed, headers: dict[str, str], body: bytes) -> Response:
    """Give `respond` a body that was read without any check."""
    return respond(embed, request_of(headers), lambda: body)


def on_a_loop(embed: Embed, headers: dict[str, str], body: bytes) -> Response:
    """Give `arespond` a body that was read without any check."""

    async def read() -> bytes:
        return body

    return asyncio.run(arespond(embed, request_of(headers), read))


def by_parts(embed: Embed, headers: dict[str, str], body: bytes) -> Response:
    """Give `answer` the parts of a request."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    return asyncio.run(
        answer(
            embed,
            method="POST",
            rest="webhook",
            headers=headers.items(),
            native=None,
            chunks=chunks,
        )
    )


@pytest.fixture(params=[in_a_thread, on_a_loop, by_parts])
def deliver(request: pytest.FixtureRequest) -> Deliver:
    """One of the three ways in."""
    way: Deliver = request.param
    return way


@pytest.mark.parametrize(
    ("length", "extra", "expected"),
    [
        (MAX_BODY, {}, 200),
        (MAX_BODY, {"Content-Length": str(MAX_BODY)}, 200),
        (MAX_BODY + 1, {}, 413),
        (MAX_BODY + 1, {"Content-Length": str(MAX_BODY)}, 413),
        (500, {"Content-Length": str(MAX_BODY + 1)}, 413),
        (500, {"Content-Length": "501"}, 400),
        (500, {"Content-Length": "499"}, 400),
        (500, {"Content-Length": "five"}, 400),
        (0, {"Transfer-Encoding": "chunked"}, 400),
    ],
)
def test_the_body_is_checked(deliver: Deliver, length: int, extra: dict[str, str], expected: int) -> None:
    """A signed body is accepted only if it has at most 64 KiB and exactly the announced length."""
    with closing(embed := build()):
        body = payload(registration_id="outside").ljust(length) if length else b""
        headers = signature_headers(TOKEN, body, int(time.time()))
        assert deliver(embed, headers | extra, body).status == expected
        assert (embed.registration("outside") is not None) == (expected == 200)


def test_what_the_reader_raises() -> None:
    """An error of the adapter's own reader reaches the adapter."""

    def read() -> bytes:
        raise OSError("the socket is gone")

    with closing(embed := build()), pytest.raises(OSError, match="the socket is gone"):
        respond(embed, request_of(signature_headers(TOKEN, b"", int(time.time()))), read)
