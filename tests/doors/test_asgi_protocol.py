"""The ASGI door against the specification: lifespan, web sockets, bodies in pieces, disconnects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from ca_embed import Embed
from ca_embed.storage import MemoryStorage
from tests.doors.clients import AsgiClient, answer_of
from tests.flow.kit import build, closing, delivery


@pytest.fixture
def embed() -> Iterator[Embed]:
    """An Embed, closed at the end."""
    with closing(built := build()):
        yield built


@pytest.fixture
def client(embed: Embed) -> Iterator[AsgiClient]:
    """A client of its ASGI door."""
    with closing(made := AsgiClient(embed.asgi)):
        yield made


def pieces(body: bytes, size: int) -> list[dict[str, Any]]:
    """Cut a body into messages, with empty ones among them."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    return [*messages, {"type": "http.request", "more_body": True}, {"type": "http.request"}]


def test_a_body_in_pieces(client: AsgiClient) -> None:
    """A body that arrives byte by byte, without a length, is the same body."""
    headers, body = delivery()
    chunked = [*headers.items(), ("Transfer-Encoding", "chunked")]
    messages = client.exchange("POST", "/webhook", chunked, pieces(body, 1))
    assert answer_of(messages, "POST").json == {"status": "accepted"}


def test_an_endless_body(client: AsgiClient) -> None:
    """A body without a length is refused once it is too long. The rest is not read."""
    endless = [{"type": "http.request", "body": b" " * 30_000, "more_body": True}] * 3
    answer = answer_of(client.exchange("POST", "/webhook", list(delivery()[0].items()), endless), "POST")
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_an_announced_endless_body(client: AsgiClient) -> None:
    """A length that is too long is refused before any of the body is read."""
    answer = answer_of(client.exchange("POST", "/webhook", [("Content-Length", "65537")]), "POST")
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_chunked_body_that_was_dropped(client: AsgiClient) -> None:
    """A body that is announced as chunked but empty gets its own error, which names the proxy."""
    headers, _ = delivery()
    chunked = [*headers.items(), ("Transfer-Encoding", "chunked")]
    messages = client.exchange("POST", "/webhook", chunked, [{"type": "http.request"}])
    answer = answer_of(messages, "POST")
    assert (answer.status, answer.code) == (400, "unreadable_body")
    assert "Content-Length" in answer.json["message"]


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("path", ["/webhook", "/sessions"])
def test_a_client_that_leaves(embed: Embed, client: AsgiClient, path: str, before: int) -> None:
    """If the client disconnects before its body has arrived, nothing is sent and nothing is stored."""
    headers, body = delivery()
    incoming = [
        *pieces(body, 20)[:before],
        {"type": "http.disconnect"},
    ]
    assert client.exchange("POST", path, list(headers.items()), incoming) == []
    assert embed.registrations() == []


def test_lifespan(embed: Embed, client: AsgiClient) -> None:
    """The door answers lifespan and closes at shutdown.

    Nothing depends on lifespan: the next request works.
    """
    assert client.deliver(delivery()).json == {"status": "accepted"}

    async def live() -> list[Any]:
        communicator = ApplicationCommunicator(embed.asgi, {"type": "lifespan", "asgi": {"version": "3.0"}})
        await communicator.send_input({"type": "lifespan.startup"})
        started = await communicator.receive_output()
        await communicator.send_input({"type": "lifespan.shutdown"})
        stopped = await communicator.receive_output()
        await communicator.wait()
        return [started, stopped]

    assert client.run(live()) == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    assert client.deliver(delivery()).json == {"status": "duplicate"}


def test_lifespan_closes(client: AsgiClient) -> None:
    """At shutdown the storage is closed."""
    closed: list[bool] = []

    class Noting(MemoryStorage):
        def close(self) -> None:
            closed.append(True)

    async def live() -> None:
        communicator = ApplicationCommunicator(build(storage=Noting()).asgi, {"type": "lifespan"})
        await communicator.send_input({"type": "lifespan.shutdown"})
        await communicator.wait()

    client.run(live())
    assert closed == [True]


def test_a_web_socket(embed: Embed, client: AsgiClient) -> None:
    """A web socket is closed before it is accepted. Servers then answer 403."""

    async def connect() -> list[Any]:
        scope = {"type": "websocket", "path": "/webhook", "headers": [], "subprotocols": []}
        communicator = ApplicationCommunicator(embed.asgi, scope)
        await communicator.send_input({"type": "websocket.connect"})
        closed = await communicator.receive_output()
        await communicator.wait()
        return [closed["type"], communicator.output_queue.empty()]

    assert client.run(connect()) == ["websocket.close", True]


def test_another_protocol(embed: Embed, client: AsgiClient) -> None:
    """An unknown protocol raises an exception, as the specification asks."""

    async def connect() -> None:
        await embed.asgi({"type": "mqtt"}, None, None)  # type: ignore[typeddict-item, arg-type]

    with pytest.raises(ValueError, match="mqtt"):
        client.run(connect())


def test_headers_are_read_as_bytes(client: AsgiClient) -> None:
    """Header values that are not ASCII, or are bytearrays, cause no error."""
    headers, body = delivery()
    raw = [(name.lower().encode(), bytearray(value.encode())) for name, value in headers.items()]

    async def ask() -> list[Any]:
        from tests.doors.clients import http_scope

        scope = http_scope("POST", "/webhook") | {"headers": [*raw, (b"x-odd\xff", b"\xff\x00")]}
        communicator = ApplicationCommunicator(client._app, scope)
        await communicator.send_input({"type": "http.request", "body": body})
        return [await communicator.receive_output(), await communicator.receive_output()]

    assert answer_of(client.run(ask()), "POST").json == {"status": "accepted"}
