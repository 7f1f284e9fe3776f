"""Every row of the HTTP table, at both doors."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from ca_embed.sandbox import Sandbox
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OTHER_ORIGIN, USER, Clock, at_sandbox, build, delivery

ON_EVERY_ANSWER = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
ROUTES = [
    ("GET", "/"),
    ("POST", "/sessions"),
    ("GET", "/sessions"),
    ("GET", "/sessions/abc"),
    ("POST", "/webhook"),
    ("GET", "/ca-embed.js"),
    ("GET", "/health"),
]


def test_a_session_is_created(client_of: ClientOf, sandbox: Sandbox) -> None:
    """POST /sessions answers 201 with exactly the five fields, for the identified user."""
    answer = client_of(at_sandbox(sandbox)).post("/sessions", b'{"lang": "es", "more": [1]}')
    session = sandbox.sessions[0]
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "registration_id": session.registration_id,
        "iframe_url": f"{sandbox.base_url}/?s={session.registration_id}&mode=embed",
        "iframe_origin": sandbox.base_url,
        "expires_at": session.expires_at.isoformat(),
        "status": "started",
    }
    assert (session.partner_user_id, session.lang) == (USER, "es")


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b'{"lang": null}'])
def test_the_body_of_a_session_is_optional(client_of: ClientOf, sandbox: Sandbox, body: bytes) -> None:
    """Without a body, or without a language in it, the session gets the configured language."""
    assert client_of(at_sandbox(sandbox, lang="ru")).post("/sessions", body).status == 201
    assert sandbox.sessions[0].lang == "ru"


@pytest.mark.parametrize(
    ("asked", "given"),
    [("pt-BR", "pt"), ("DE_at", "de"), ("fr", "en"), ("", "en"), ("x" * 5000, "en"), ("\x00", "en")],
)
def test_a_language_falls_back(client_of: ClientOf, sandbox: Sandbox, asked: str, given: str) -> None:
    """An unsupported language becomes its base language, then English."""
    import json

    body = json.dumps({"lang": asked}).encode()
    assert client_of(at_sandbox(sandbox)).post("/sessions", body).status == 201
    assert sandbox.sessions[0].lang == given


def test_the_browser_chooses_nothing_else(client_of: ClientOf, sandbox: Sandbox) -> None:
    """POST /sessions ignores a user, a webhook URL, an integration and a state in its body."""
    body = (
        b'{"user_id": "eve", "partner_user_id": "eve", "webhook_url": "https://evil.example/",'
        b' "integration": "Evil", "partner_state": "evil", "parent_origin": "https://evil.example"}'
    )
    client_of(at_sandbox(sandbox, integration="My CRM")).post("/sessions", body, host="evil.example")
    session = sandbox.sessions[0]
    assert session.partner_user_id == USER
    assert session.webhook_url == "https://crm.example/chatarchitect/webhook"
    assert session.integration == "My CRM"
    assert session.partner_state != "evil"
    assert session.parent_origin == "https://crm.example"


def test_the_page_that_asks_is_the_parent(client_of: ClientOf, sandbox: Sandbox) -> None:
    """The session's parent origin is the allowed origin of the page that asked."""
    embed = at_sandbox(sandbox, parent_origins=["https://first.example", OTHER_ORIGIN])
    client = client_of(embed)
    client.post("/sessions", origin=OTHER_ORIGIN)
    client.post("/sessions")
    assert [session.parent_origin for session in sandbox.sessions] == [OTHER_ORIGIN, "https://first.example"]


def test_a_session_is_shown_to_its_owner(client_of: ClientOf, sandbox: Sandbox) -> None:
    """GET /sessions/<id> answers 200 with exactly the five fields, before and after completion."""
    client = client_of(at_sandbox(sandbox))
    created = client.post("/sessions").json
    registration_id = created["registration_id"]
    sandbox.advance(registration_id, "phone_verified")
    shown = client.get(f"/sessions/{registration_id}")
    assert shown.status == 200
    assert shown.json == {
        "registration_id": registration_id,
        "status": "phone_verified",
        "expires_at": created["expires_at"],
        "phone": None,
        "completed_at": None,
    }
    sandbox.complete(registration_id, phone="421000111222", deliver=False)
    assert client.deliver(sandbox.signed_webhook(registration_id)).json == {"status": "accepted"}
    shown = client.get(f"/sessions/{registration_id}")
    completed_at = sandbox.session(registration_id).completed_at
    assert completed_at is not None
    assert shown.json["status"] == "completed"
    assert shown.json["phone"] == "421000111222"
    assert datetime.fromisoformat(shown.json["completed_at"]) == completed_at


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "accepted"),
        ({"event": "whatsapp.registration.renamed"}, "ignored"),
        ({"event": "x", "registration_id": None, "app_id": 5}, "ignored"),
        ({"more": {"deep": [1, None]}}, "accepted"),
        ({"completed_at": ...}, "accepted"),
        ({"phone": None, "integration": ...}, "accepted"),
        ({"registration_id": "a"}, "accepted"),
        ({"registration_id": "_-" * 64}, "accepted"),
        ({"partner_user_id": "u" * 3000, "partner_state": "\x00" * 300}, "accepted"),
        ({"partner_user_id": "", "partner_state": ""}, "accepted"),
        ({"app_secret": "\U0001f511 schl\u00fcssel \x00"}, "accepted"),
    ],
)
def test_a_webhook_is_answered(client_of: ClientOf, fields: dict[str, object], status: str) -> None:
    """A delivery is accepted for a known registration and for an unknown one.

    An unknown event type is ignored.
    """
    client = client_of(build())
    assert (answer := client.deliver(delivery(**fields))).status == 200
    assert answer.json == {"status": status}
    if status == "accepted":
        assert client.deliver(delivery(**fields)).json == {"status": "duplicate"}


def test_a_webhook_without_completion_time(client_of: ClientOf) -> None:
    """Without `completed_at`, the signed timestamp is the time of completion."""
    clock = Clock()
    embed = build(clock=clock)
    client_of(embed).deliver(delivery(at=clock.now - 7, completed_at=...))
    credentials = embed.credentials("abc123def456ghi789jkl0")
    assert credentials is not None
    assert credentials.completed_at.timestamp() == clock.now - 7


def test_an_event_id_is_a_label(client_of: ClientOf) -> None:
    """A delivery is accepted without an event id, with another's event id, and with a senseless one."""
    client = client_of(build())
    headers, body = delivery()
    del headers["X-CA-Event-Id"]
    assert client.deliver((headers, body)).json == {"status": "accepted"}
    for label in ("evt_other_1", "\x7f\xff", "x" * 4000, ""):
        assert client.deliver((headers | {"X-CA-Event-Id": label}, body)).json == {"status": "duplicate"}


def test_the_page(client_of: ClientOf) -> None:
    """GET / returns a page with its own policy.

    Meta's window may open, and the parent origins may frame the page.
    """
    answer = client_of(build(parent_origins=[OTHER_ORIGIN])).get("/", accept_language="pt-BR, en;q=0.5")
    policy = answer.headers["content-security-policy"]
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-language"] == "pt"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert f"frame-ancestors 'self' {OTHER_ORIGIN} https://crm.example" in policy
    assert b'<html lang="pt">' in answer.body
    assert b"<ca-whatsapp-registration" in answer.body


def test_the_page_names_its_asset(client_of: ClientOf) -> None:
    """The page's script is the hashed asset below the mount, under its integrity."""
    import base64
    import hashlib

    client = client_of(build())
    page = client.get("/").body.decode()
    found = re.search(r'src="/chatarchitect(/ca-embed\.[0-9a-f]+\.js)" integrity="sha384-([^"]+)"', page)
    assert found is not None
    asset = client.get(found[1])
    assert asset.status == 200
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert base64.b64encode(hashlib.sha384(asset.body).digest()).decode() == found[2]
    assert client.get("/ca-embed.js").body == asset.body


def test_the_asset_is_revalidated(client_of: ClientOf) -> None:
    """GET /ca-embed.js has an ETag.

    It answers 304 if the ETag is in the list of the request, in any place.
    """
    client = client_of(build())
    first = client.get("/ca-embed.js")
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    for known in (etag, f'"x", W/{etag}', "*"):
        again = client.get("/ca-embed.js", if_none_match=known)
        assert (again.status, again.headers["etag"], again.body) == (304, etag, b"")
    assert client.get("/ca-embed.js", if_none_match='"other"').status == 200


def test_health(client_of: ClientOf) -> None:
    """GET /health answers 200 and leaves no record in the storage."""
    embed = build()
    answer = client_of(embed).get("/health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert embed.registrations() == []


@pytest.mark.parametrize("path", ["/", "/ca-embed.js", "/health", "/sessions/abc", "/nowhere", "/webhook"])
def test_head(client_of: ClientOf, path: str) -> None:
    """HEAD has the status and the headers of GET, also the length, and no body."""
    client = client_of(build())
    head, get = client.request("HEAD", path), client.get(path)
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/nowhere"), ("PUT", "/")])
def test_security_headers(client_of: ClientOf, method: str, path: str) -> None:
    """Every response has the security headers. The page and the asset have their own values."""
    headers = client_of(build()).request(method, path).headers
    assert set(ON_EVERY_ANSWER) <= set(headers)
    if path not in ("/", "/ca-embed.js"):
        assert {name: headers[name] for name in ON_EVERY_ANSWER} == ON_EVERY_ANSWER
