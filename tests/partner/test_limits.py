"""The client against hostile servers, proxies and environments."""

from __future__ import annotations

import gzip
import io
import logging
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3.connection

from ca_embed._partner import transport as partner_http
from ca_embed._partner.client import PartnerClient, Result
from ca_embed.errors import PartnerError, PartnerRejected, PartnerTimeout, PartnerUnavailable
from tests.partner.raw_server import SESSION_ID, TOKEN, Answer, RawServer, dripping, http, silent

STARTED = http({"status": "started"})
LONG_REDIRECT = http(b"x" * 1_000_000, "302 Found")

Hasty = Callable[[str], PartnerClient]


def create(client: PartnerClient) -> object:
    """Create a session."""
    return client.create_session(parent_origin="https://a.example", webhook_url="https://a.example/")


def ask(client: PartnerClient) -> object:
    """Ask for a result."""
    return client.result(SESSION_ID)


def retry(client: PartnerClient) -> object:
    """Retry a webhook."""
    return client.retry_webhook(SESSION_ID)


def close(_connection: socket.socket, _stop: threading.Event) -> None:
    """Close the connection without a response."""


def reset(connection: socket.socket, _stop: threading.Event) -> None:
    """Close the connection with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


ALL_CALLS = pytest.mark.parametrize("call", [create, ask, retry])
POSTS = pytest.mark.parametrize("call", [create, retry])

# --- time ------------------------------------------------------------------------------------------


@ALL_CALLS
@pytest.mark.parametrize(
    "answer",
    [
        silent,
        dripping(http({"status": "started"}, "200 OK", f"X-Long: {'x' * 200}")),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 10 + STARTED),
        lambda connection, stop: (
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n"),
            dripping(b'{"status": "started"}'.rjust(300))(connection, stop),
        ),
        lambda connection, stop: (
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            dripping(b"1\r\n \r\n" * 50 + b'15\r\n{"status": "started"}\r\n0\r\n\r\n')(connection, stop),
        ),
    ],
    ids=["silent", "headers", "interim answers", "body", "chunks"],
)
def test_the_deadline_holds_against_a_dripping_server(
    hasty: Hasty, server: RawServer, call: Callable[[PartnerClient], object], answer: Answer
) -> None:
    """A response that comes byte by byte ends with an error at the deadline."""
    server.answers = [answer]
    with pytest.raises(PartnerTimeout):
        call(hasty(server.base_url))
    assert len(server.requests) == 1


def test_the_deadline_holds_over_tls(hasty: Hasty, tls_server: RawServer, trusted: None) -> None:
    """The deadline also ends a slow response over TLS."""
    tls_server.answers = [dripping(http({"status": "started"}, "200 OK", f"X-Long: {'x' * 200}"))]
    with pytest.raises(PartnerTimeout):
        ask(hasty(tls_server.base_url))
    assert len(tls_server.requests) == 1


def test_the_deadline_holds_in_the_handshake(hasty: Hasty, server: RawServer) -> None:
    """A TLS handshake without a response ends at the deadline."""
    with pytest.raises(PartnerTimeout):
        ask(hasty(server.base_url.replace("http:", "https:")))


def test_a_slow_connection_leaves_less_time_for_the_handshake(
    hasty: Hasty, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The TLS handshake has only the time that connecting has left."""
    connect, connected = urllib3.connection.connection.create_connection, []

    def connect_slowly(*args: Any, **kwargs: Any) -> socket.socket:
        time.sleep(0.2)
        connected.append(connect(*args, **kwargs))
        return connected[0]

    monkeypatch.setattr(urllib3.connection.connection, "create_connection", connect_slowly)
    with pytest.raises(PartnerTimeout):
        create(hasty(server.base_url.replace("http:", "https:")))
    assert connected[0].gettimeout() <= 0.1


def test_the_deadline_holds_while_a_name_is_looked_up(hasty: Hasty, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name lookup without a response ends at the deadline."""
    over = threading.Event()

    def look_up(*_: object, **__: object) -> list[Any]:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        with pytest.raises(PartnerTimeout):
            ask(hasty("https://registration.example"))
    finally:
        over.set()
        _join_threads_named("ca_embed connect")


def test_a_connection_that_comes_too_late_is_hung_up(
    hasty: Hasty, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that connects after the deadline is closed."""
    over, connect, late = threading.Event(), urllib3.connection.connection.create_connection, []

    def connect_late(*args: Any, **kwargs: Any) -> socket.socket:
        over.wait(30)
        late.append(connect(*args, **kwargs))
        return late[0]

    monkeypatch.setattr(urllib3.connection.connection, "create_connection", connect_late)
    with pytest.raises(PartnerTimeout):
        create(hasty(server.base_url))
    over.set()
    _join_threads_named("ca_embed connect")
    assert late[0].fileno() == -1
    assert server.requests == []


def test_attempts_share_one_deadline(hasty: Hasty, server: RawServer) -> None:
    """A second attempt does not extend the deadline."""
    server.answers = [_after(0.2, b""), _after(0.2, STARTED)]
    with pytest.raises(PartnerTimeout):
        ask(hasty(server.base_url))
    assert len(server.requests) == 2


def _after(seconds: float, answer: bytes) -> Answer:
    def wait(connection: socket.socket, stop: threading.Event) -> None:
        stop.wait(seconds)
        connection.sendall(answer)

    return wait


def _join_threads_named(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(10)


# --- size ------------------------------------------------------------------------------------------


def test_64_kib_are_read_and_not_a_byte_more(client: PartnerClient, server: RawServer) -> None:
    """A response of 64 KiB is read; a longer one is refused."""
    whole = b'{"status": "started"}'.ljust(64 * 1024)
    server.answers = [http(whole), http(whole + b" ")]
    assert client.result(SESSION_ID) == Result("started")
    with pytest.raises(PartnerUnavailable, match="64 KiB"):
        client.result(SESSION_ID)


def test_chunks_count_together(client: PartnerClient, server: RawServer) -> None:
    """A chunked response is read up to 64 KiB too."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
    server.answers = [
        chunked % b'15\r\n{"status": "started"}\r\n',
        chunked % (b'15\r\n{"status": "started"}\r\n' + b"400\r\n%b\r\n" % (b" " * 1024) * 64),
    ]
    assert client.result(SESSION_ID) == Result("started")
    with pytest.raises(PartnerUnavailable, match="64 KiB"):
        client.result(SESSION_ID)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "identity, gzip"])
def test_a_compressed_answer_is_not_unpacked(client: PartnerClient, server: RawServer, encoding: str) -> None:
    """A compressed response is refused: it may be small and unpack to a large one."""
    bomb = gzip.compress(b'{"status": "started"}'.ljust(10_000_000))
    server.answers = [http(bomb, "200 OK", f"Content-Encoding: {encoding}")]
    with pytest.raises(PartnerUnavailable, match="compressed"):
        client.result(SESSION_ID)
    assert b"accept-encoding: identity\r\n" in server.last_request.lower()


def _flood(beginning: bytes, repeated: bytes) -> Answer:
    def pour(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(beginning)
        while not stop.is_set():
            connection.sendall(repeated * 100)

    return pour


@pytest.mark.parametrize(
    "flood",
    [
        _flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        _flood(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
        _flood(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        _flood(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 100),
        _flood(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b" " * 100),
        _flood(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: more\r\n"),
    ],
    ids=["interim answers", "headers", "one header", "body", "body of an error", "trailers"],
)
def test_a_flood_ends_the_call(client: PartnerClient, server: RawServer, flood: Answer) -> None:
    """The connection to a server that never stops sending is closed, long before the deadline."""
    server.answers = [flood]
    with pytest.raises(PartnerUnavailable):
        client.result(SESSION_ID)


# --- redirects -------------------------------------------------------------------------------------


@ALL_CALLS
@pytest.mark.parametrize(
    "answer", [*(http(b"", f"{status} Moved") for status in (301, 302, 303, 307, 308)), LONG_REDIRECT]
)
def test_a_redirect_is_not_followed(
    client: PartnerClient,
    server: RawServer,
    elsewhere: RawServer,
    call: Callable[[PartnerClient], object],
    answer: bytes,
) -> None:
    """A redirect raises PartnerRejected with a body of any length, and the token is not sent on."""
    location = b"\r\nLocation: %b/partner\r\n" % elsewhere.base_url.encode()
    server.answers = [answer.replace(b"\r\n", location, 1)]
    with pytest.raises(PartnerRejected, match="redirect") as refusal:
        call(client)
    assert refusal.value.partner_status == int(answer[9:12])
    assert len(server.requests) == 1
    assert elsewhere.connections == 0


# --- trouble on the way, and what is asked again -----------------------------------------------------


@pytest.mark.parametrize("trouble", [close, reset])
def test_a_result_that_was_cut_off_is_asked_for_again(
    client: PartnerClient, server: RawServer, trouble: Answer
) -> None:
    """A result call that was cut off before its reply began is repeated."""
    server.answers = [trouble, STARTED]
    assert client.result(SESSION_ID) == Result("started")


@pytest.mark.parametrize("trouble", [close, reset])
def test_a_result_is_asked_for_twice_at_most(
    client: PartnerClient, server: RawServer, trouble: Answer
) -> None:
    """A result call that is cut off again raises after the second attempt."""
    server.answers = [trouble]
    with pytest.raises(PartnerUnavailable, match=r"Connection reset|RemoteDisconnected"):
        client.result(SESSION_ID)
    assert len(server.requests) == 2


@ALL_CALLS
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_reply_is_not_asked_for_again(
    client: PartnerClient, server: RawServer, call: Callable[[PartnerClient], object], status: int
) -> None:
    """A call that got a reply is not repeated: the caller decides when to call again."""
    server.answers = [http({"message": "busy"}, f"{status} Oops", "Retry-After: 0"), STARTED]
    with pytest.raises(PartnerError, match="busy"):
        call(client)
    assert len(server.requests) == 1


@POSTS
@pytest.mark.parametrize("trouble", [close, reset, *(http({}, f"{code} Oops") for code in (502, 503, 504))])
def test_a_post_that_was_sent_is_never_repeated(
    client: PartnerClient,
    server: RawServer,
    call: Callable[[PartnerClient], object],
    trouble: Answer,
) -> None:
    """A POST is sent once: the Partner API may have acted before its response got lost."""
    server.answers = [trouble, STARTED]
    with pytest.raises(PartnerUnavailable):
        call(client)
    assert len(server.requests) == 1


@ALL_CALLS
def test_connecting_is_tried_again(
    client: PartnerClient,
    server: RawServer,
    call: Callable[[PartnerClient], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is sent, every call may connect again."""
    failures, connect = [1, 2], urllib3.connection.connection.create_connection

    def connect_at_last(*args: Any, **kwargs: Any) -> socket.socket:
        if failures:
            failures.pop()
            raise ConnectionRefusedError
        return connect(*args, **kwargs)

    monkeypatch.setattr(urllib3.connection.connection, "create_connection", connect_at_last)
    server.answers = [http({}, "400 Bad Request")]
    with pytest.raises(PartnerRejected):
        call(client)
    assert len(server.requests) == 1


@ALL_CALLS
def test_a_process_that_can_start_no_thread(
    client: PartnerClient, call: Callable[[PartnerClient], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that cannot start a thread raises PartnerUnavailable, with the type and place of the cause."""

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(PartnerUnavailable) as failure:
        call(client)
    assert re.search(r"\(RuntimeError at \S+test_limits\.py:\d+\)", str(failure.value))
    assert failure.value.__context__ is None


@ALL_CALLS
def test_what_is_no_exception_passes(
    client: PartnerClient, call: Callable[[PartnerClient], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A BaseException, like a KeyboardInterrupt or gevent's Timeout, is not turned into an error."""

    def connect(*_: object, **__: object) -> socket.socket:
        raise KeyboardInterrupt

    monkeypatch.setattr(urllib3.connection.connection, "create_connection", connect)
    with pytest.raises(KeyboardInterrupt):
        call(client)


@ALL_CALLS
def test_no_one_listens(call: Callable[[PartnerClient], object]) -> None:
    """The error of a refused connection has the system's message."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = PartnerClient(f"http://127.0.0.1:{port}", TOKEN)
    with client, pytest.raises(PartnerUnavailable, match="Connection refused"):
        call(client)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nX-Half",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\0" * 1000,
    ],
)
def test_nonsense_is_no_answer(client: PartnerClient, server: RawServer, nonsense: bytes) -> None:
    """An invalid or incomplete HTTP response raises PartnerUnavailable."""
    server.answers = [lambda connection, stop: connection.sendall(nonsense)]
    for call in (ask, create):
        with pytest.raises(PartnerUnavailable):
            call(client)


# --- connections -----------------------------------------------------------------------------------


def test_connections_are_kept(client: PartnerClient, server: RawServer) -> None:
    """Calls one after another use the same connection, also after a refused one."""
    server.answers = [STARTED, http({}, "404 Not Found"), STARTED]
    client.result(SESSION_ID)
    with pytest.raises(PartnerRejected):
        client.retry_webhook(SESSION_ID)
    client.result(SESSION_ID)
    assert len(server.requests) == 3
    assert server.connections == 1


def test_an_idle_connection_is_not_used(
    client: PartnerClient, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle too long is not used again: the server may close it at any moment."""
    server.answers = [STARTED]
    client.result(SESSION_ID)
    monkeypatch.setattr(partner_http, "MAX_IDLE", 0.0)
    client.result(SESSION_ID)
    assert server.connections == 2


def test_a_fork_does_not_share_a_connection(
    client: PartnerClient, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked process gets its own connection, because a shared one would mix the responses."""
    server.answers = [STARTED]
    client.result(SESSION_ID)
    monkeypatch.setattr(partner_http.os, "getpid", lambda: -1)
    client.result(SESSION_ID)
    assert server.connections == 2


def test_a_connection_that_the_server_closed_is_noticed(client: PartnerClient, server: RawServer) -> None:
    """A POST after the server closed a kept connection goes over a new one."""
    server.answers = [
        lambda connection, stop: connection.sendall(STARTED),
        http({"status": "sent", "attempts": 1, "last_error": ""}),
    ]
    client.result(SESSION_ID)
    _wait_until(lambda: _threads_of(server) == 1)
    assert client.retry_webhook(SESSION_ID).attempts == 1


def _threads_of(server: RawServer) -> int:
    return sum(thread.is_alive() for thread in server._threads)


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_closed_client_can_be_used_again(client: PartnerClient, server: RawServer) -> None:
    """close() closes the connections, and the client can be used again."""
    server.answers = [STARTED]
    client.result(SESSION_ID)
    client.close()
    client.result(SESSION_ID)
    assert server.connections == 2


def test_cookies_are_forgotten(client: PartnerClient, server: RawServer) -> None:
    """No cookie of one call is sent with another."""
    server.answers = [http({"status": "started"}, "200 OK", "Set-Cookie: user=one; Path=/")]
    client.result(SESSION_ID)
    client.result(SESSION_ID)
    assert b"cookie:" not in server.last_request.lower()


# --- TLS, proxies and the environment ----------------------------------------------------------------


def test_an_unknown_certificate_is_refused(tls_server: RawServer) -> None:
    """Nothing is sent to a server without a trusted certificate."""
    tls_server.answers = [STARTED]
    client = PartnerClient(tls_server.base_url, TOKEN)
    with client, pytest.raises(PartnerUnavailable, match="certificate verify failed"):
        ask(client)
    assert tls_server.requests == []


def test_netrc_does_not_replace_the_token(
    tls_server: RawServer, trusted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `.netrc` with an entry for the host does not replace the Bearer token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password fake\ndefault login any password fake\n")
    monkeypatch.setenv("NETRC", str(netrc))
    tls_server.answers = [STARTED]
    with PartnerClient(tls_server.base_url, TOKEN) as client:
        ask(client)
    assert b"Authorization: Bearer %b\r\n" % TOKEN.encode() in tls_server.last_request


@pytest.fixture
def proxied(elsewhere: RawServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """Return a function that sets a proxy in the environment."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.base_url)
    return elsewhere


def test_https_goes_through_the_proxy(proxied: RawServer) -> None:
    """The proxy of the environment gets a CONNECT without the token."""
    proxied.answers = [http(b"", "403 Forbidden")]
    client = PartnerClient("https://registration.example", TOKEN)
    with client, pytest.raises(PartnerUnavailable, match="proxy"):
        ask(client)
    assert proxied.requests[0].startswith(b"CONNECT registration.example:443 ")
    assert TOKEN.encode() not in b"".join(proxied.requests)


def test_the_deadline_holds_in_the_proxy(hasty: Hasty, proxied: RawServer) -> None:
    """A slow proxy response ends at the deadline."""
    proxied.answers = [dripping(http(b"", "200 OK", f"X-Long: {'x' * 200}"))]
    with pytest.raises(PartnerTimeout):
        ask(hasty("https://registration.example"))


def test_plain_http_stays_on_this_machine(
    client: PartnerClient, server: RawServer, proxied: RawServer
) -> None:
    """A loopback base URL is called without a proxy, which could read the token."""
    server.answers = [STARTED]
    client.result(SESSION_ID)
    assert proxied.connections == 0


# --- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        http({"status": "error", "message": f"Bearer {TOKEN}"}, "401 Unauthorized"),
        http({"status": "error", "message": TOKEN}, f"500 {TOKEN}"),
        http(TOKEN.encode()),
        http({TOKEN: TOKEN, "status": TOKEN}),
        http({}, "302 Found", f"Location: https://{TOKEN}.example/"),
        TOKEN.encode() + b"\r\n\r\n",
        b"HTTP/1.1 " + TOKEN.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + TOKEN.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + TOKEN.encode() + b"\r\n",
        close,
        reset,
    ],
)
def test_no_error_or_log_shows_the_token(
    client: PartnerClient, server: RawServer, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is in no message, traceback, exception chain or log of any failure."""
    caplog.set_level(logging.DEBUG)
    server.answers = [answer if callable(answer) else lambda connection, stop: connection.sendall(answer)]
    for call in (ask, create):
        with pytest.raises(PartnerError) as failure:
            call(client)
        assert TOKEN not in _shown(failure.value)
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(client)


def _shown(error: BaseException | None) -> str:
    """Return all texts of an error and of its causes that a log or an error tracker collects."""
    text = io.StringIO()
    while error is not None:
        text.write("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))
        request = getattr(error, "request", None)
        text.write(repr(getattr(request, "headers", None)))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return text.getvalue()
