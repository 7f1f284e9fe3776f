"""Every row of the error table, at both doors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ca_embed.sandbox import Sandbox
from tests.doors.clients import Answer, AsgiClient, WsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OLD_TOKEN, TOKEN, Clock, at_sandbox, build, closing, delivery, payload, signed

SOME_ID = "abc123def456ghi789jkl0"
MAC = "sha256=" + "0" * 64


def _headers(timestamp: str | None, signature: str | None) -> dict[str, str]:
    both = {"X-CA-Timestamp": timestamp, "X-CA-Signature": signature}
    return {name: value for name, value in both.items() if value is not None}


@pytest.mark.parametrize(
    "wrong",
    [
        _headers(None, None),
        _headers("{now}", None),
        _headers(None, "{mac}"),
        _headers("", "{mac}"),
        _headers("{now}", ""),
        _headers("{now},{now}", "{mac}"),
        _headers("{now}", "{mac},{mac}"),
        _headers("{now}", "{mac}, {mac}"),
        _headers("+{now}", "{mac}"),
        _headers("-{now}", "{mac}"),
        _headers("{now}.0", "{mac}"),
        _headers("0x5f", "{mac}"),
        _headers("\xb2", "{mac}"),
        _headers("1" * 5000, "{mac}"),
        _headers("{now}", MAC),
        _headers("{now}", "{mac}0"),
        _headers("{now}", "SHA256={hex}"),
        _headers("{now}", "sha512={hex}"),
        _headers("{now}", "{hex}"),
        _headers("{now}", "sha256=\xff\xfe"),
        _headers("{now}", "sha256={HEX}"),
    ],
)
def test_a_signature_that_is_none(client_of: ClientOf, wrong: dict[str, str]) -> None:
    """Missing, repeated, malformed or wrong headers get 401, always with the same text."""
    embed = build()
    client = client_of(embed)
    right, body = delivery()
    values = {"now": right["X-CA-Timestamp"], "mac": right["X-CA-Signature"]}
    values |= {"hex": values["mac"][7:], "HEX": values["mac"][7:].upper()}
    assert wrong != right
    answer = client.deliver(({name: value.format(**values) for name, value in wrong.items()}, body))
    assert (answer.status, answer.code) == (401, "invalid_signature")
    assert answer.body == client.post("/webhook").body
    assert embed.registrations() == []


def test_a_repeated_header(client_of: ClientOf) -> None:
    """A right signature is refused if it comes twice, or together with a wrong one."""
    client = client_of(build())
    headers, body = delivery()
    for name in ("X-CA-Timestamp", "X-CA-Signature"):
        for second in (headers[name], MAC):
            answer = client.request(
                "POST", "/webhook", headers=[*headers.items(), (name.lower(), second)], body=body
            )
            assert (answer.status, answer.code) == (401, "invalid_signature")


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (payload() + b" ", TOKEN),
        (payload().replace(b"ca_app_123", b"ca_app_124"), TOKEN),
        (payload(), OLD_TOKEN),
        (payload(), "\N{KEY}"),
    ],
)
def test_a_signature_of_something_else(client_of: ClientOf, body: bytes, token: str) -> None:
    """A signature over other bytes, or by another token, gets 401."""
    headers, _ = signed(payload(), token=token)
    answer = client_of(build()).deliver((headers, body))
    assert (answer.status, answer.code) == (401, "invalid_signature")


@pytest.mark.parametrize(("age", "status"), [(300, 200), (301, 401), (-300, 200), (-301, 401), (9e8, 401)])
def test_the_window(client_of: ClientOf, age: float, status: int) -> None:
    """The window has the same width on both sides. Its edges belong to it."""
    clock = Clock()
    answer = client_of(build(clock=clock)).deliver(delivery(at=clock.now - age))
    assert answer.status == status
    if status == 401:
        assert answer.code == "stale_timestamp"


def test_the_window_can_be_set(client_of: ClientOf) -> None:
    """`replay_window` is the width of the window in seconds."""
    clock = Clock()
    client = client_of(build(clock=clock, replay_window=10))
    assert client.deliver(delivery(at=clock.now - 11)).code == "stale_timestamp"
    assert client.deliver(delivery(at=clock.now + 10)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"not json",
        b"\xff\xfe",
        payload().decode().encode("utf-16"),
        b"\xef\xbb\xbf" + payload(),
        payload() + b"x",
        payload(app_secret="x").replace(b'"x"', b'"x", "app_secret": "y"'),
        payload(phone=float("nan")),
        b'{"a": 1e999}',
        b"[" * 60_000,
        payload(app_id="x").replace(b'"x"', b'"\\ud800"'),
        payload(event=...),
        payload(event=5),
        payload(event=""),
        payload(registration_id=...),
        payload(registration_id=""),
        payload(registration_id="a" * 129),
        payload(registration_id="../../etc"),
        payload(registration_id="\u0430bc"),
        payload(registration_id="a\n"),
        payload(registration_id=7),
        payload(app_id=...),
        payload(app_id=""),
        payload(app_id=["x"]),
        payload(app_secret=...),
        payload(app_secret=""),
        payload(app_secret=None),
        payload(phone=5),
        payload(integration={}),
        payload(partner_user_id=5),
        payload(partner_state=[]),
        payload(completed_at="yesterday"),
        payload(completed_at=""),
        payload(completed_at=1783159200),
        payload(completed_at="0001-01-01T00:00:00+14:00"),
    ],
)
def test_an_authentic_body_that_is_no_event(client_of: ClientOf, body: bytes) -> None:
    """A signed body that is not a JSON object of the event's fields gets 400 and changes nothing."""
    embed = build()
    answer = client_of(embed).deliver(signed(body))
    assert (answer.status, answer.code) == (400, "invalid_payload")
    assert embed.registrations() == []


@pytest.mark.parametrize(
    "echo",
    [
        {"partner_user_id": "another_user"},
        {"partner_user_id": ...},
        {"partner_state": "other"},
        {"partner_state": ...},
    ],
)
def test_a_delivery_for_another_session(client_of: ClientOf, sandbox: Sandbox, echo: dict[str, Any]) -> None:
    """A delivery that names another user or state than its session gets 409. The record does not change."""
    embed = at_sandbox(sandbox)
    session = embed.create_session("u1", partner_state="s1")
    sandbox.complete(session.registration_id, deliver=False)
    before = embed.registration(session.registration_id)
    webhook = sandbox.signed_webhook(session.registration_id, payload_overrides=echo)
    client = client_of(embed)
    answer = client.deliver(webhook)
    assert (answer.status, answer.code) == (409, "mismatched_session")
    assert embed.registration(session.registration_id) == before
    assert embed.credentials(session.registration_id) is None
    assert client.deliver(sandbox.signed_webhook(session.registration_id)).json == {"status": "accepted"}
    assert client.deliver(webhook).status == 409


@pytest.mark.parametrize("path", ["/webhook", "/sessions"])
def test_a_body_that_is_too_long(client_of: ClientOf, path: str) -> None:
    """A body of 65,536 bytes is read. One byte more gets 413."""
    client = client_of(build())
    assert client.post(path, b" " * 65_536).status in (401, 502)
    answer = client.post(path, b" " * 65_537)
    assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/webhook", "/sessions"])
@pytest.mark.parametrize("length", ["5", "x", "+4", "4, 4", "\xb2", "9" * 30, "-4"])
def test_a_length_that_lies(door: str, path: str, length: str) -> None:
    """A Content-Length that is not a number, or announces more than arrives, gets 400."""
    embed = build()
    client = WsgiClient(embed.wsgi, lint=False) if door == "wsgi" else AsgiClient(embed.asgi)
    with closing(embed, client):
        headers = delivery()[0] | {"Content-Length": length}
        answer = client.request("POST", path, headers=headers, body=b"body")
        assert (answer.status, answer.code) == (400, "unreadable_body")


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"{", b'"en"', b'{"lang": 5}', b'{"lang": ["en"]}', b"\xff", b'{"a":1,"a":2}']
)
def test_a_request_that_is_none(client_of: ClientOf, sandbox: Sandbox, body: bytes) -> None:
    """A body of POST /sessions that is not a JSON object of known types gets 400.

    The Partner API is not asked.
    """
    answer = client_of(at_sandbox(sandbox)).post("/sessions", body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert sandbox.journal == []


@pytest.mark.parametrize("identity", [None, "", False])
@pytest.mark.parametrize(("method", "path"), [("POST", "/sessions"), ("GET", "/sessions/abc"), ("GET", "/")])
def test_no_one_is_signed_in(client_of: ClientOf, identity: object, method: str, path: str) -> None:
    """If `identify` finds that no one is signed in, the response is 401."""
    answer = client_of(build(identify=lambda native: identity)).request(method, path)
    assert (answer.status, answer.code) == (401, "not_signed_in")


@pytest.mark.parametrize("registration_id", ["unknown", "a" * 129, "%2e%2e", "..", "~probe", "\u00fc", "a b"])
def test_an_unknown_registration(client_of: ClientOf, registration_id: str) -> None:
    """An unknown registration id gets 404, and so does an impossible one."""
    answer = client_of(build()).get(f"/sessions/{registration_id}")
    assert (answer.status, answer.code) == (404, "not_found")


def test_another_users_registration(client_of: ClientOf) -> None:
    """Another user's registration, or one without an owner, gets the same response as an unknown one."""
    embed = build()
    client = client_of(embed)
    client.deliver(delivery(registration_id="theirs", partner_user_id="another_user"))
    client.deliver(delivery(registration_id="ownerless", partner_user_id=None))
    unknown = client.get("/sessions/unknown")
    assert client.get("/sessions/theirs") == unknown
    assert client.get("/sessions/ownerless") == unknown


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD"),
        ("PUT", "/sessions", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/sessions/abc", "GET, HEAD, OPTIONS"),
        ("POST", "/sessions/abc", "GET, HEAD, OPTIONS"),
        ("GET", "/webhook", "POST"),
        ("OPTIONS", "/webhook", "POST"),
        ("OPTIONS", "/sessions", "POST, GET, HEAD"),
        ("OPTIONS", "/sessions/abc", "GET, HEAD"),
        ("PUT", "/ca-embed.js", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_another_method(client_of: ClientOf, method: str, path: str, allow: str) -> None:
    """A method that a path does not have gets 405 and the methods that it has."""
    answer = client_of(build()).request(method, path)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/webhook/x",
        "/sessions/a/b",
        "/sessions//",
        "//webhook",
        "/Webhook",
        "/ca-embed",
        "/ca-embed.js/x",
    ],
)
def test_another_path(client_of: ClientOf, path: str) -> None:
    """A path that is not in the table gets 404."""
    client = client_of(build())
    for method in ("GET", "POST", "OPTIONS", "DELETE"):
        answer = client.request(method, path)
        assert (answer.status, answer.code) == (404, "not_found")


def test_the_asset_of_another_release(client_of: ClientOf) -> None:
    """The hashed name of other bytes gets 404. A cache must not keep these bytes under it for a year."""
    assert client_of(build()).get("/ca-embed.0123456789abcdef.js").code == "not_found"


# --- the Partner API fails -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "status", "code"),
    [
        ({"api_status": 500}, 502, "partner_unavailable"),
        ({"api_status": 503}, 502, "partner_unavailable"),
        ({"api_garbage": True}, 502, "partner_unavailable"),
        ({"api_status": 400}, 502, "partner_rejected"),
        ({"api_status": 401}, 502, "partner_rejected"),
        ({"api_status": 404}, 502, "partner_rejected"),
        ({"api_redirect": True}, 502, "partner_rejected"),
        ({"iframe_url_override": "https://evil.example/?s=x"}, 502, "partner_rejected"),
        ({"iframe_url_override": "javascript:alert(1)"}, 502, "partner_rejected"),
    ],
)
def test_the_partner_api_fails(
    client_of: ClientOf, sandbox: Sandbox, knobs: dict[str, Any], status: int, code: str
) -> None:
    """If the Partner API fails or refuses, creating a session gets 502, and stores nothing."""
    sandbox.knobs.update(knobs)
    embed = at_sandbox(sandbox)
    answer = client_of(embed).post("/sessions")
    assert (answer.status, answer.code) == (status, code)
    assert embed.registrations() == []
    assert len([entry for entry in sandbox.journal if entry.direction == "call"]) == 1


def test_the_partner_api_cannot_be_reached(client_of: ClientOf) -> None:
    """If no Partner API listens, creating a session gets 502."""
    answer = client_of(build()).post("/sessions")
    assert (answer.status, answer.code) == (502, "partner_unavailable")


def test_the_partner_api_is_slow(
    client_of: ClientOf, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the Partner API is too slow, creating a session gets 504."""
    monkeypatch.setattr("ca_embed._partner.clients.CREATE_DEADLINE", 0.3)
    sandbox.knobs.api_delay = 5
    answer = client_of(at_sandbox(sandbox)).post("/sessions")
    assert (answer.status, answer.code) == (504, "partner_timeout")


# --- the storage fails ---------------------------------------------------------------------------


class Broken:
    """A storage whose driver raises any exception."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def load(self, registration_id: str) -> Any:
        raise self._error

    def save(self, record: Any) -> bool:
        raise self._error

    def delete(self, registration_id: str, version: int) -> bool:
        raise self._error

    def due(self, by: float, *, limit: int, after: Any = None) -> Any:
        raise self._error

    def list(self, *, user_id: str | None = None, limit: int, after: str | None = None) -> Any:
        raise self._error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "error", [OSError("disk"), KeyError("row"), RuntimeError("odd"), TimeoutError(), LookupError(SOME_ID)]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/webhook"), ("GET", f"/sessions/{SOME_ID}"), ("GET", "/health")]
)
def test_the_storage_fails(client_of: ClientOf, error: Exception, method: str, path: str) -> None:
    """Any error of a storage gets 503 with Retry-After, and never counts as "not found"."""
    headers, body = delivery() if method == "POST" else ({}, b"")
    answer = client_of(build(storage=Broken(error))).request(method, path, headers=headers, body=body)
    assert (answer.status, answer.code) == (503, "storage_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert b"disk" not in answer.body


def test_a_session_that_cannot_be_stored(client_of: ClientOf, sandbox: Sandbox) -> None:
    """If a session was opened but cannot be stored, the response is 503."""
    answer = client_of(at_sandbox(sandbox, storage=Broken(OSError()))).post("/sessions")
    assert (answer.status, answer.code) == (503, "storage_unavailable")


@contextmanager
def _locked(path: Any) -> Iterator[None]:
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_the_storage_is_locked(client_of: ClientOf, tmp_path: Any) -> None:
    """If another process has locked the SQLite database, the response is 503 within 10 seconds."""
    embed = build(storage=f"sqlite:///{tmp_path}/registrations.db")
    client = client_of(embed)
    assert client.get("/health").status == 200
    with _locked(tmp_path / "registrations.db"):
        before = time.monotonic()
        answer = client.deliver(delivery())
        assert time.monotonic() - before < 10
        assert (answer.status, answer.code) == (503, "storage_unavailable")
        assert "retry-after" in answer.headers
    assert client.deliver(delivery()).json == {"status": "accepted"}


def test_many_wait_for_a_locked_storage(tmp_path: Any) -> None:
    """If many deliveries wait for a locked database, each is answered within 10 seconds."""
    embed = build(storage=f"sqlite:///{tmp_path}/registrations.db")
    with closing(embed, client := AsgiClient(embed.asgi)):
        assert client.get("/health").status == 200

        async def flood() -> list[Answer]:
            webhooks = (delivery(registration_id=f"r{number}") for number in range(60))
            return await asyncio.gather(*(client.ask("POST", "/webhook", *webhook) for webhook in webhooks))

        with _locked(tmp_path / "registrations.db"):
            before = time.monotonic()
            answers = client.run(flood())
            assert time.monotonic() - before < 10
        assert {(answer.status, answer.code) for answer in answers} == {(503, "storage_unavailable")}
