"""A user who comes back in another browser: the list of registrations, and one that is continued there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ca_embed.sandbox import Sandbox
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OTHER_ORIGIN, OWN_ORIGIN, Clock, at_sandbox, build, store_session


def asked(registration_id: str) -> bytes:
    """The body that asks to continue a session."""
    return json.dumps({"lang": "en", "registration_id": registration_id}).encode()


def test_the_list(client_of: ClientOf, sandbox: Sandbox) -> None:
    """The list has the user's own registrations as each is shown, the newest first, without a secret."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock, parent_origins=[OTHER_ORIGIN])
    client = client_of(embed)
    assert client.get("/sessions").json == {"registrations": []}
    ids = []
    for _ in range(2):
        ids.insert(0, client.post("/sessions", b"{}", Origin=OWN_ORIGIN).json["registration_id"])
        clock.advance(1)
    store_session(embed, "foreign", expires_at=clock() + 3600, user_id="someone else")
    sandbox.complete(ids[1], deliver=False)
    clock.advance(10)
    shown = [client.get(f"/sessions/{each}").json for each in ids]
    answer = client.get("/sessions", origin=OTHER_ORIGIN)
    assert answer.json == {"registrations": shown}
    assert shown[1]["status"] == "completed"
    assert answer.headers["access-control-allow-origin"] == OTHER_ORIGIN
    credentials = embed.credentials(ids[1])
    assert credentials is not None
    assert credentials.app_secret.encode() not in answer.body
    assert credentials.app_id.encode() not in answer.body


def test_the_list_is_short(client_of: ClientOf) -> None:
    """The list has the newest 20, and an expired one is shown as expired."""
    clock = Clock()
    client = client_of(embed := build(clock=clock))
    for number in range(25):
        store_session(embed, f"n{number}", expires_at=clock() + 60)
        clock.advance(1)
    clock.advance(60)
    listed = client.get("/sessions").json["registrations"]
    assert [each["registration_id"] for each in listed] == [f"n{number}" for number in range(24, 4, -1)]
    assert {each["status"] for each in listed} == {"expired"}


def test_continued_in_another_browser(client_of: ClientOf, sandbox: Sandbox) -> None:
    """An open session that the body names is returned with its page. ChatArchitect gets no new one."""
    client = client_of(at_sandbox(sandbox, session_limit=(1, 60)))
    opened = client.post("/sessions", b"{}", Origin=OWN_ORIGIN)
    continued = client.post("/sessions", asked(opened.json["registration_id"]), Origin=OWN_ORIGIN)
    assert (opened.status, continued.status) == (201, 200)
    assert continued.json == opened.json
    assert len(sandbox.sessions) == 1


@pytest.mark.parametrize("why", ["unknown", "expired", "completed", "foreign", "other origin", "nonsense"])
def test_what_cannot_be_continued(client_of: ClientOf, sandbox: Sandbox, why: str) -> None:
    """Instead of a session that cannot be continued in this page, a new one is opened."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock, parent_origins=[OTHER_ORIGIN])
    client = client_of(embed)
    origin = OTHER_ORIGIN if why == "other origin" else OWN_ORIGIN
    old = client.post("/sessions", b"{}", Origin=origin).json["registration_id"]
    if why == "unknown":
        old = "unknown"
    if why == "nonsense":
        old = "../a b"
    if why == "expired":
        clock.advance(90 * 24 * 3600)
    if why == "completed":
        sandbox.complete(old, deliver=False)
        clock.advance(10)
        assert client.get(f"/sessions/{old}").json["status"] == "completed"
    if why == "foreign":
        store_session(embed, old := "foreign", expires_at=clock() + 3600, user_id="someone else")
    answer = client.post("/sessions", asked(old), Origin=OWN_ORIGIN)
    assert answer.status == 201
    assert answer.json["registration_id"] != old


def test_a_page_that_is_no_longer_used(client_of: ClientOf, sandbox: Sandbox) -> None:
    """A session whose page is not on the origin of `base_url` is not continued."""
    embed = at_sandbox(sandbox)
    store_session(embed, "moved", expires_at=(datetime.now(UTC) + timedelta(hours=1)).timestamp())
    answer = client_of(embed).post("/sessions", asked("moved"), Origin=OWN_ORIGIN)
    assert (answer.status, len(sandbox.sessions)) == (201, 1)


def test_the_type_of_the_id(client_of: ClientOf) -> None:
    """An id that is not text is refused."""
    answer = client_of(build()).post("/sessions", b'{"registration_id": 5}', Origin=OWN_ORIGIN)
    assert (answer.status, answer.code) == (400, "invalid_request")
