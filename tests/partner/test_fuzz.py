"""The client against replies that are almost HTTP: nothing but PartnerError comes out of a call."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ca_embed._partner.client import PartnerClient, Result
from ca_embed._registration import Session
from ca_embed.errors import InvalidPayload, PartnerError
from tests.partner.raw_server import SESSION_ID, TOKEN, RawServer

# The same examples in every run, and no litter of earlier ones.
FUZZ = settings(
    max_examples=120,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

STATUS_LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 %d Reason" % status for status in (200, 201, 204, 304, 307, 401, 429, 503, 600, 999)),
        b"HTTP/1.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/2 200",
        b"HTTP/1.1 200",
        b"HTTP/1.1 -200 OK",
        b"HTTP/1.1 99999 OK",
        b"HTTP/1.1 2\xb2\xb3 OK",
        b"HTTP/1.1",
        b"HTTP/1.1 200 \xff\x00\x85",
        b"ICY 200 OK",
        b"",
        b"HTTP/1.1 101 Switching Protocols",
    ]
)
NUMBERS = st.sampled_from(
    [
        b"-1",
        b"-5",
        b"+5",
        b"0",
        b"5",
        b"1_0",
        b"0x10",
        b" 7 ",
        b"9" * 20,
        b"9" * 5000,
        b"1e3",
        b"",
        b"\xb2",
        b"zz",
    ]
)
DATES = st.sampled_from(
    [
        b"Tue, 24 Nov 2026 10:00:00 GMT",
        b"Tue, 24 Nov 2026 10:00:00 -0000",
        b"Tue, 24 Nov 99999999999 10:00:00 +9999",
        b"Mon, 01 Jan 0001 00:00:00 +1400",
        b"24 Nov",
        b"\xff",
    ]
)
HEADERS = st.one_of(
    st.builds(lambda number: b"Content-Length: " + number, NUMBERS),
    st.builds(lambda wait: b"Retry-After: " + wait, NUMBERS | DATES),
    st.builds(lambda date: b"Date: " + date, DATES),
    st.sampled_from(
        [
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Content-Encoding: gzip",
            b"Content-Encoding: \xff",
            b"Connection: keep-alive",
            b"Set-Cookie: a=b; Expires=\xff; Max-Age=-9999999999999999999999",
            b'Set-Cookie2: a=b; Version=x; Port="',
            b"Location: http://127.0.0.1:1/partner",
            b"Location: http://[::1",
            b"Link: \xff<;>",
            b'Content-Type: multipart/mixed; boundary="',
            b" folded: before any",
            b"no colon",
            b": no name",
            b"N\xc3\xa4me: \xff\x00",
            b"X-Long: " + b"x" * 70_000,
        ]
    ),
    st.binary(max_size=20),
)
OPEN = b'{"status": "started"}'
BODIES = st.sampled_from(
    [
        OPEN,
        json.dumps({"registration_id": SESSION_ID, "iframe_url": "http://[", "status": "started"}).encode(),
        json.dumps(
            {"status": "completed", "registration_id": SESSION_ID, "completed_at": "0001-01-01T00:00+14:00"}
        ).encode(),
        b'{"status": "sent", "attempts": 1' + b"0" * 5000 + b"}",
        b"[" * 5000,
        gzip.compress(OPEN),
        b"\xff\xfe",
        b"",
    ]
)


def chunk(size: bytes, body: bytes) -> bytes:
    """Return a chunk whose size may be wrong."""
    return size + b"\r\n" + body + b"\r\n"


CHUNKS = st.lists(
    st.builds(chunk, NUMBERS | st.sampled_from([b"15", b"15;ext=\xff", b"FFFFFFFFFFFFFFFF", b"-15"]), BODIES),
    max_size=3,
).map(lambda chunks: b"".join(chunks) + b"0\r\n\r\n")


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """Build a reply from valid and invalid parts, and then damage some of its bytes."""
    interim = draw(
        st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\n"])
    )
    head = b"\r\n".join([draw(STATUS_LINES), *draw(st.lists(HEADERS, max_size=4)), b"", b""])
    reply = interim * draw(st.sampled_from([1, 1, 2, 200])) + head + draw(BODIES | CHUNKS)
    if draw(st.integers(0, 4)) == 0:
        reply = reply.replace(b"\r\n", b"\n")
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(reply)))
        reply = reply[:place] + draw(st.binary(max_size=4)) + reply[place + draw(st.integers(0, 4)) :]
    if draw(st.integers(0, 4)) == 0:
        reply = reply[: draw(st.integers(0, len(reply)))]
    return reply + draw(st.sampled_from([b"", b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 100]))


@pytest.fixture
def short_client(server: RawServer) -> Iterator[PartnerClient]:
    """A client whose calls take two seconds at most."""
    with PartnerClient(server.base_url, TOKEN, create_deadline=2.0, ask_deadline=2.0) as client:
        yield client


def returned_or_raised(call: Callable[[], object]) -> object:
    """Return what the call returns, or the PartnerError that it raises."""
    try:
        return call()
    except PartnerError as error:
        return error


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@FUZZ
@given(reply=replies())
@example(reply=CHUNKED + b"-5\r\n" + OPEN)
@example(reply=CHUNKED + b"-1\r\n" + OPEN)
@example(reply=CHUNKED + b"9" * 5000 + b"\r\n" + OPEN)
@example(reply=b"HTTP/1.1 429 No\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n")
@example(reply=b"HTTP/1.1 503 No\r\nRetry-After: 1 Jan 1 0:0:0 -0000\r\nDate: 1 Jan 9999 0:0:0 +2300\r\n\r\n")
def test_only_partner_errors_come_out(server: RawServer, short_client: PartnerClient, reply: bytes) -> None:
    """A call returns what the guide describes, or raises a PartnerError that does not show the token."""

    def send(connection: socket.socket, _stop: threading.Event) -> None:
        connection.sendall(reply)

    server.answers = [send]
    for call, kind in (
        (lambda: short_client.result(SESSION_ID), Result),
        (
            lambda: short_client.create_session(
                parent_origin="https://a.example", webhook_url="https://a.example/"
            ),
            Session,
        ),
    ):
        outcome = returned_or_raised(call)
        assert isinstance(outcome, kind | PartnerError)
        if isinstance(outcome, PartnerError):
            assert TOKEN not in str(outcome)
            assert isinstance(outcome.__context__, InvalidPayload | None)
            assert outcome.retry_after is None or 0 <= outcome.retry_after <= 86_400
