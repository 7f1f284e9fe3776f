"""What is fuzzed by coverage: functions of any bytes, each of which raises if a promise is broken.

`make fuzz` runs them under atheris (`by_coverage.py`). `test_targets.py` runs them over the seeds and small
changes of these.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ca_embed import _webhook, errors
from ca_embed._events import SignedEvent
from ca_embed._partner import transport
from ca_embed._partner.client import PartnerClient, Result
from ca_embed._registration import Completion, Registration, Session, State, receive
from ca_embed._vault import document
from ca_embed._vault.keyring import Keyring
from ca_embed._vault.ledger import Ledger
from ca_embed.http import MAX_BODY, Request, Response, path_below, respond
from ca_embed.storage import MemoryStorage, SealedRecord
from tests.doors.described import check_described
from tests.flow.kit import KEY, NOBODY_LISTENS, OWN_ORIGIN, SECRET, TOKEN, build, payload

NOW = 1_800_000_000  # Unix seconds: the clock of all targets stands still
WINDOW = 300
SESSION_ID = "abc123def456ghi789jkl0"


@dataclass(frozen=True)
class Target:
    """A function of any bytes, and the inputs to begin with."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def mac(timestamp: bytes, body: bytes) -> bytes:
    """Return the X-CA-Signature by the guide's formula, written anew here."""
    return b"sha256=" + hmac.new(TOKEN.encode(), timestamp + b"." + body, hashlib.sha256).hexdigest().encode()


def _expect(true: bool) -> None:
    assert true


# --- signature headers -----------------------------------------------------------------------------


def signature(data: bytes) -> None:
    """Headers and body: only a RequestError comes out, and only a right signature in time passes.

    The parts of the input: timestamps, a NUL, signatures, a NUL, the body. "@" stands for a right signature.
    """
    parts = data.split(b"\0", 2)
    stamps, claims, body = parts if len(parts) == 3 else (data, b"@", b"")
    timestamps = stamps.split(b"\n")
    signatures = [mac(timestamps[0], body) if one == b"@" else one for one in claims.split(b"\n")]
    verifier = _verifier()
    try:
        proof = verifier.verify(body, timestamps, signatures, NOW)
    except errors.InvalidSignature:
        one_each = len(timestamps) == len(signatures) == 1
        digits = one_each and 0 < len(timestamps[0]) <= 12 and set(timestamps[0]) <= set(b"0123456789")
        assert not (digits and signatures == [mac(timestamps[0], body)]), "a right signature is refused"
    except errors.StaleTimestamp:
        assert signatures == [mac(timestamps[0], body)]
        assert abs(NOW - int(timestamps[0])) > WINDOW
    else:
        assert signatures == [mac(timestamps[0], body)]
        assert abs(NOW - proof.signed_at) <= WINDOW


@functools.cache
def _verifier() -> _webhook.Verifier:
    return _webhook.Verifier([TOKEN], WINDOW)


# --- payload ---------------------------------------------------------------------------------------


def webhook_body(data: bytes) -> None:
    """A signed body: a completion or another event that can be stored, or InvalidPayload."""
    try:
        event = _webhook.read_event(data, _webhook.Authenticated("token", NOW))
    except errors.InvalidPayload as refused:
        _expect(SECRET not in str(refused))
        return
    fields = json.loads(data)
    assert isinstance(fields, dict)
    if isinstance(event, SignedEvent):
        assert event.name != _webhook.COMPLETED_EVENT
        state = receive(event, now=NOW, handlers=("hear",), claim=None)
    else:
        assert event.registration_id == fields["registration_id"]
        assert event.credentials.app_secret == fields["app_secret"]
        state = _completed(event)
    assert document.from_bytes(document.to_bytes(state)) == state


def _completed(completion: Completion) -> State:
    registration = Registration(
        registration_id=completion.registration_id,
        status="completed",
        user_id=None,
        partner_state=completion.partner_fields.partner_state,
        integration=completion.credentials.integration,
        lang=None,
        parent_origin=None,
        phone=completion.credentials.phone,
        created_at=datetime.fromtimestamp(NOW, UTC),
        expires_at=None,
        completed_at=completion.credentials.completed_at,
    )
    return replace(_state(), registration=registration, credentials=completion.credentials)


@functools.cache
def _state() -> State:
    """Return a state as a webhook for an unknown registration makes it."""
    ledger = _ledger()
    state = ledger.load(SESSION_ID)
    assert state is not None
    return state


@functools.cache
def _ledger() -> Ledger:
    """Return the ledger of an Embed that has one completed registration."""
    embed = _embed()
    body = payload(partner_user_id=..., partner_state=...)
    request = _request(
        "POST", "/webhook", [(b"x-ca-timestamp", b"%d" % NOW), (b"x-ca-signature", b"@")], body
    )
    assert respond(embed, request, lambda: body).status == 200
    return embed._core.ledger


# --- routes ----------------------------------------------------------------------------------------


def routes(data: bytes) -> None:
    """Any method, path, headers and body get a response of the OpenAPI document, and no server error.

    The parts of the input: a line "METHOD path", header lines "name: value", an empty line, the body.
    """
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, path = first.decode("utf-8", "replace").partition(" ")
    headers = [
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
    ]
    path = "/" + path.removeprefix("/")
    request = _request(method or "GET", path_below(path[1:]), headers, body)
    _check(request.method, path, respond(_embed(), request, lambda: body))


def _check(method: str, path: str, response: Response) -> None:
    named = {name.lower(): value for name, value in response.headers}
    assert len(named) == len(response.headers), "a header occurs twice"
    for value in named.values():
        assert not {"\r", "\n", "\0"} & set(value)
        value.encode("latin-1")
    text = response.body.decode()
    for secret in (TOKEN, KEY, SECRET):
        assert secret not in text
    assert response.status < 500 or response.status == 502, response
    check_described(method, path, response.status, named, response.body)


def _request(method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Request:
    stamp = next((value for name, value in headers if name == b"x-ca-timestamp"), b"")
    sent = [
        (name, mac(stamp, body) if (name, value) == (b"x-ca-signature", b"@") else value)
        for name, value in headers
    ]
    return Request(method, path, tuple((name.decode("latin-1"), value) for name, value in sent), native=None)


@functools.cache
def _embed() -> Any:
    return build(clock=lambda: float(NOW), session_limit=(1, 86_400), base_url=NOBODY_LISTENS)


# --- records ---------------------------------------------------------------------------------------


def record(data: bytes) -> None:
    """A stored record: any bytes, and any bytes under our seal, give a state or a RecordUnreadable."""
    ledger = Ledger(MemoryStorage(), _keyring())
    sealed = _keyring().seal(data, registration_id=SESSION_ID, field="document")
    for stored in (data, sealed):
        try:
            state = ledger.opened(SealedRecord(SESSION_ID, 1, None, None, stored))
        except errors.RecordUnreadable as refused:
            _expect(SESSION_ID in str(refused))
        else:
            assert stored is sealed
            assert isinstance(state, State)


@functools.cache
def _keyring() -> Keyring:
    return Keyring([KEY])


# --- the Partner API's answers -----------------------------------------------------------------------


def partner_answer(data: bytes) -> None:
    """Any bytes on the wire: a call returns what the guide describes, or raises a PartnerError."""
    for call, kind in (
        (lambda client: client.result(SESSION_ID), Result),
        (
            lambda client: client.create_session(parent_origin=OWN_ORIGIN, webhook_url=OWN_ORIGIN + "/w"),
            Session,
        ),
    ):
        wire = _Wire(data)
        kept, transport._connected_within = transport._connected_within, wire.connect
        try:
            with PartnerClient(NOBODY_LISTENS, TOKEN, create_deadline=5.0, ask_deadline=5.0) as client:
                assert isinstance(call(client), kind)
        except errors.PartnerError as refused:
            _expect(TOKEN not in str(refused))
            _expect(refused.retry_after is None or 0 <= refused.retry_after <= 86_400)
        finally:
            transport._connected_within = kept
            wire.close()


class _Wire:
    """Connections on which the bytes have arrived already."""

    def __init__(self, data: bytes) -> None:
        self._data, self._ends = data[:MAX_BODY], list[socket.socket]()

    def connect(self, _seconds: float, _connect: Callable[[], socket.socket]) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.sendall(self._data)
        theirs.shutdown(socket.SHUT_WR)
        self._ends.append(theirs)
        return ours

    def close(self) -> None:
        for end in self._ends:
            end.close()


# --- all -------------------------------------------------------------------------------------------

_BODY = payload(partner_user_id=..., partner_state=...)
_OPEN = b'{"status": "started"}'
_DONE = json.dumps(
    {
        "status": "completed",
        "registration_id": SESSION_ID,
        "app_id": "ca_app_123",
        "app_secret": SECRET,
        "phone": None,
        "completed_at": "2026-07-04T10:00:00+00:00",
    }
).encode()
_CREATED = json.dumps(
    {
        "registration_id": SESSION_ID,
        "iframe_url": f"{NOBODY_LISTENS}/?s={SESSION_ID}",
        "expires_at": "2026-07-05T10:00:00+00:00",
        "status": "started",
    }
).encode()


def _http(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


TARGETS: dict[str, Target] = {
    "signature": Target(
        signature,
        (b"%d\0@\0{}" % NOW, b"%d\0sha256=00\0" % NOW, b"1\n2\0@\n@\0", b"%d\0@\0%b" % (NOW - 301, _BODY)),
    ),
    "payload": Target(
        webhook_body,
        (
            _BODY,
            b'{"event": "x"}',
            b'{"event": "\\ud83d\\ude00"}',
            payload(completed_at="2026-W01-1"),
            b"[1e999]",
        ),
    ),
    "routes": Target(
        routes,
        (
            b"GET /\naccept-language: de;q=0.5, en\naccept: text/html\n\n",
            b'POST /sessions\norigin: https://crm.example\n\n{"lang": "es"}',
            b"OPTIONS /sessions\norigin: https://crm.example\naccess-control-request-method: POST\n\n",
            b"GET /sessions/" + SESSION_ID.encode() + b"\nsec-fetch-site: cross-site\n\n",
            b"POST /webhook\nx-ca-timestamp: %d\nx-ca-signature: @\nx-ca-event-id: e\n\n%b" % (NOW, _BODY),
            b'GET /ca-embed.js\nif-none-match: W/"x", *\n\n',
            b"HEAD /openapi.json\ncontent-length: 5\n\n",
        ),
    ),
    "record": Target(record, (b"\x02" + bytes(60), b"[]", document.to_bytes(_state()))),
    "partner answer": Target(
        partner_answer,
        (
            _http(_DONE),
            _http(_CREATED),
            _http(b"{}", b"429 No", b"Retry-After: 9\r\n"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n%b\r\n0\r\n\r\n" % _OPEN,
        ),
    ),
}
