"""Both doors behind real servers with two processes each, over raw sockets."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ca_embed.sandbox import Sandbox
from tests.doors.real import PREFIX, SERVERS, Server, answer, answer_and_close, request, running
from tests.flow.kit import calls_in_progress, delivery, wait_until

ACCEPTED = (200, {"status": "accepted"})


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server in turn, on SQLite."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, "sqlite:///{}/r.db") as one:
        yield one


def chunked(body: bytes, size: int = 7) -> bytes:
    """Encode a body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


def test_chunks(server: Server) -> None:
    """A chunked body without a length is read to its end."""
    headers, body = delivery(registration_id="chunks")
    sent = server.ask(b"POST", "/webhook", headers | {"Transfer-Encoding": "chunked"}, chunked(body))
    assert (sent[0], json.loads(sent[1])) == ACCEPTED


def test_no_chunks(server: Server) -> None:
    """An empty chunked body gets another error than a wrong signature."""
    headers, _ = delivery()
    status, body = server.ask(b"POST", "/webhook", headers | {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n")
    assert (status, json.loads(body)["code"]) == (400, "unreadable_body")


def test_chunks_that_break_off(server: Server) -> None:
    """Malformed chunks, or chunks that end too early, are not accepted as a delivery."""
    headers, body = delivery(registration_id="broken")
    for broken in (b"zz\r\n", chunked(body)[:-20], b"ffffffffffff\r\nx"):
        with server.connect() as connection:
            connection.sendall(
                request(b"POST", "/webhook", headers.items(), broken, **{"Transfer-Encoding": "chunked"})
            )
            connection.shutdown(socket.SHUT_WR)
            assert answer(connection)[0] in (0, 400)


def test_a_length_that_promises_too_much(server: Server) -> None:
    """A body that is shorter than its length is refused or dropped. It is not stored."""
    headers, body = delivery(registration_id="short")
    with server.connect() as connection:
        length = {"Content-Length": str(len(body) + 1)}
        connection.sendall(request(b"POST", "/webhook", headers.items(), body, **length))
        connection.shutdown(socket.SHUT_WR)
        status, said = answer(connection)
    assert (status, said and json.loads(said)["code"]) in ((0, b""), (400, "unreadable_body"))
    assert server.deliver((headers, body)) == ACCEPTED


def test_a_length_that_promises_too_little(server: Server) -> None:
    """If the length cuts a body short, the body does not fit its signature."""
    headers, body = delivery(registration_id="long")
    length = {"Content-Length": str(len(body) - 1)}
    assert server.ask(b"POST", "/webhook", headers | length, body)[0] == 401


@pytest.mark.parametrize("lengths", [["5", "6"], ["-1"], ["0x5"], ["5, 5"], ["\xb2"], [""]])
def test_a_length_that_is_none(server: Server, lengths: list[str]) -> None:
    """A malformed length, or several lengths, are refused by the server or by us."""
    with server.connect() as connection:
        pairs = [("Content-Length", length) for length in lengths]
        connection.sendall(request(b"POST", "/webhook", pairs, b"body!!"))
        assert answer(connection)[0] in (400, 401)


def test_a_repeated_signature(server: Server) -> None:
    """Two signatures are refused, even if both are right."""
    headers, body = delivery(registration_id="twice")
    twice = [*headers.items(), ("X-CA-Signature", headers["X-CA-Signature"])]
    with server.connect() as connection:
        connection.sendall(request(b"POST", "/webhook", twice, body))
        status, said = answer(connection)
    assert (status, json.loads(said)["code"]) == (401, "invalid_signature")


def test_a_huge_body_is_not_read(server: Server) -> None:
    """A body of 20 MB is refused when it is announced, without waiting for it."""
    headers, _ = delivery()
    with server.connect() as connection:
        connection.sendall(request(b"POST", "/webhook", headers.items(), **{"Content-Length": "20000000"}))
        status, said = answer(connection)
    assert (status, json.loads(said)["code"]) == (413, "body_too_large")


def test_a_huge_chunked_body_is_not_read(server: Server) -> None:
    """An endless chunked body is read only until it is too long."""
    headers, _ = delivery()
    head = request(b"POST", "/webhook", [*headers.items(), ("Transfer-Encoding", "chunked")])
    with server.connect() as connection:
        connection.sendall(head + b"10001\r\n" + b" " * 65_537 + b"\r\n")
        status, said = answer(connection)
    assert (status, json.loads(said)["code"]) == (413, "body_too_large")


def test_a_body_without_a_signature_is_not_awaited(server: Server) -> None:
    """A delivery without a signature is answered before its body has come, on 16 connections at once."""
    announced = request(b"POST", "/webhook", **{"Content-Length": "100"})
    connections = [server.connect() for _ in range(16)]
    for connection in connections:
        connection.sendall(announced)
    with ThreadPoolExecutor(16) as readers:  # each is closed as soon as it is answered
        for status, said in readers.map(answer_and_close, connections):
            assert (status, json.loads(said)["code"]) == (401, "invalid_signature")
    assert server.deliver(delivery(registration_id="beside")) == ACCEPTED


def test_slow_bodies(server: Server) -> None:
    """A body that arrives byte by byte is read to its end. Other requests are served in the meantime."""
    headers, body = delivery(registration_id="slow")
    whole = request(b"POST", "/webhook", headers.items(), body)
    with server.connect() as connection:
        for number, byte in enumerate(whole):
            connection.sendall(bytes([byte]))
            if number in (5, len(whole) - 2):
                assert server.deliver(delivery(registration_id=f"quick{number}")) == ACCEPTED
        status, said = answer(connection)
    assert (status, json.loads(said)) == ACCEPTED


def test_the_methods_of_a_server(server: Server) -> None:
    """HEAD has no body. An unknown method is refused."""
    assert server.ask(b"HEAD", "/health") == (200, b"")
    assert server.ask(b"BREW", "/webhook")[0] in (400, 405)


def test_the_rest_of_the_host(server: Server) -> None:
    """A path that is not below the prefix goes to the host."""
    with server.connect() as connection:
        connection.sendall(request(b"GET", "").replace(f"{PREFIX} ".encode(), b"/elsewhere "))
        assert answer(connection) == (404, b"host")


# --- many at once --------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["sqlite:///{}/r.db", "file:{}/r"])
@pytest.mark.parametrize("kind", SERVERS)
def test_64_copies_at_once(kind: str, storage: str, tmp_path: Path) -> None:
    """Of 64 copies at two processes, one is accepted and 63 are duplicates. The handler runs once."""
    headers, body = delivery()
    copy = request(b"POST", "/webhook", headers.items(), body)
    with running(kind, tmp_path, storage) as server:
        connections = [server.connect() for _ in range(64)]
        for connection in connections:
            connection.sendall(copy[:-1])
        for connection in connections:
            connection.sendall(copy[-1:])
        # Each is closed as soon as it is answered: gunicorn waits for that before it looks at the next.
        with ThreadPoolExecutor(64) as readers:
            answers = list(readers.map(answer_and_close, connections))
        assert Counter(answers) == {
            (200, b'{"status": "accepted"}'): 1,
            (200, b'{"status": "duplicate"}'): 63,
        }
        assert server.handled.read_text() == "abc123def456ghi789jkl0\n"


@pytest.mark.parametrize("kind", SERVERS)
def test_a_partner_that_hangs(kind: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """If the Partner API holds up as many sessions as one process can take, a webhook is still answered."""
    sandbox.knobs.api_delay = 300
    hanging, threads = (40, 0) if kind == "uvicorn" else (4, 4)
    partner = {"CA_EMBED_BASE_URL": sandbox.base_url, "CA_EMBED_PARTNER_TOKEN": sandbox.partner_token}
    with running(kind, tmp_path, "sqlite:///{}/r.db", workers=1, threads=threads, **partner) as server:
        connections = [server.connect() for _ in range(hanging)]
        for connection in connections:
            connection.sendall(request(b"POST", "/sessions", body=b"{}"))
        wait_until(lambda: calls_in_progress(sandbox) >= 2)
        token = sandbox.partner_token
        assert server.deliver(delivery(token=token)) == ACCEPTED
        assert server.ask(b"GET", "/health")[0] == 200
        assert server.ask(b"GET", "/sessions/abc123def456ghi789jkl0")[0] == 200
        assert any(_is_silent(connection) for connection in connections)
        sandbox.stop()
        assert {answer_and_close(connection)[0] for connection in connections} <= {201, 502, 504}


def _is_silent(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(20)
    return False


# --- gevent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variables", [{}, {"ASYNCHRONOUS": "1"}], ids=["plain", "asynchronous"])
def test_gevent(variables: dict[str, str], tmp_path: Path) -> None:
    """Under gevent every request is answered right, with plain and with asynchronous host functions."""
    ids = [f"r{number}" for number in range(20)]
    with running("gevent", tmp_path, "sqlite:///{}/r.db", workers=1, **variables) as server:
        with ThreadPoolExecutor(20) as clients:
            pages = [clients.submit(server.ask, b"GET", "/") for _ in range(40)]
            webhooks = [clients.submit(server.deliver, delivery(registration_id=one)) for one in ids]
            assert Counter(page.result()[0] for page in pages) == {200: 40}
            assert [webhook.result() for webhook in webhooks] == [ACCEPTED] * 20
        assert sorted(server.handled.read_text().split()) == sorted(ids)
