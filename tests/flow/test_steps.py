"""How far a page says that its user has come: `POST /sessions/<registration_id>/step`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ca_embed import Embed
from ca_embed._registration import PAGE_STEPS, stepped
from ca_embed._vault import document
from ca_embed.errors import StorageUnavailable
from ca_embed.storage import MemoryStorage, SealedRecord
from tests.doors.clients import Answer, Client
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OTHER_ORIGIN, OWN_ORIGIN, Clock, build, delivery, store_session

ID = "abc123def456ghi789jkl0"


class Counting(MemoryStorage):
    """A storage that counts the writes, and fails on request."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.fails = False

    def save(self, record: SealedRecord) -> bool:
        if self.fails:
            raise OSError
        self.writes += 1
        return super().save(record)


@pytest.fixture
def storage() -> Counting:
    """A storage that counts."""
    return Counting()


@pytest.fixture
def embed(storage: Counting) -> Embed:
    """An Embed with one open session."""
    clock = Clock()
    embed = build(storage=storage, clock=clock, parent_origins=[OTHER_ORIGIN])
    store_session(embed, ID, expires_at=clock.now + 3600)
    return embed


def report(client: Client, step: object, registration_id: str = ID, **headers: str) -> Answer:
    """Report a step, as the page does."""
    return client.post(f"/sessions/{registration_id}/step", json.dumps({"step": step}).encode(), **headers)


def stored(embed: Embed) -> str | None:
    """Return the furthest step that is stored."""
    registration = embed.registration(ID)
    assert registration is not None
    return registration.furthest_step


def test_furthest_step_is_kept(client_of: ClientOf, embed: Embed) -> None:
    """The furthest step is stored, whatever comes in which order, and the answer is empty."""
    client = client_of(embed)
    assert stored(embed) is None
    reached = []
    for step in ("ready", "phone_verified", "ready", "facebook_started", "cancelled", "facebook_started"):
        answer = report(client, step)
        assert (answer.status, answer.body) == (204, b"")
        reached.append(stored(embed))
    assert reached == ["ready", "phone_verified", "phone_verified", "facebook_started", *["cancelled"] * 2]
    assert [(report(client, step).status, stored(embed)) for step in PAGE_STEPS[-2:]] == [
        (204, "failed"),
        (204, "completed"),
    ]


def test_only_a_further_step_is_written(client_of: ClientOf, embed: Embed, storage: Counting) -> None:
    """A step that was reached before costs no write."""
    client = client_of(embed)
    report(client, "phone_verified")
    writes = storage.writes
    for step in ("ready", "phone_verified", "ready"):
        assert report(client, step).status == 204
    assert storage.writes == writes


def test_it_claims_nothing(client_of: ClientOf, embed: Embed) -> None:
    """A page that says "completed" completes nothing, and the webhook is accepted as ever."""
    client = client_of(embed)
    report(client, "completed")
    registration = embed.registration(ID)
    assert registration is not None
    assert (registration.status, embed.credentials(ID)) == ("started", None)
    shown = client.get(f"/sessions/{ID}").json
    assert (shown["status"], "furthest_step" in shown) == ("started", False)
    webhook = delivery(at=embed._core.clock())
    assert [client.deliver(webhook).json["status"] for _ in range(2)] == ["accepted", "duplicate"]
    assert report(client, "ready").status == 204
    registration = embed.registration(ID)
    assert registration is not None
    assert (registration.status, registration.furthest_step) == ("completed", "completed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ready",
        b"[]",
        b'{"step": "Ready"}',
        b'{"step": ["ready"]}',
        b'{"step": null}',
        b'{"step": "erased"}',
        b'{"step": "ready", "step": "completed"}',
        b"{}",
        b'{"step": "\xff"}',
    ],
)
def test_other_bodies(client_of: ClientOf, embed: Embed, body: bytes) -> None:
    """A body without one of the six steps is refused, and changes nothing."""
    answer = client_of(embed).post(f"/sessions/{ID}/step", body)
    assert (answer.status, answer.code, stored(embed)) == (400, "invalid_request", None)


def test_long_bodies(client_of: ClientOf, embed: Embed) -> None:
    """A body longer than 64 KiB is refused."""
    answer = client_of(embed).post(f"/sessions/{ID}/step", b'{"step": "ready"}'.ljust(64 * 1024 + 1))
    assert (answer.status, answer.code, stored(embed)) == (413, "body_too_large", None)


def test_whose(client_of: ClientOf, embed: Embed, storage: Counting) -> None:
    """Another user's registration is not found, nor one that is unknown; no one may report without a user."""
    users: list[Any] = ["mallory", None]
    stranger = build(storage=storage, identify=lambda native: users.pop(0))
    client = client_of(stranger)
    assert [(a.status, a.code) for a in (report(client, "ready"), report(client, "ready"))] == [
        (404, "not_found"),
        (401, "not_signed_in"),
    ]
    client = client_of(embed)
    for unknown in ("unknown", "a" * 129, "~"):
        assert report(client, "ready", unknown).code == "not_found"
    assert stored(embed) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": OWN_ORIGIN}, 204),
        ({"origin": OTHER_ORIGIN, "sec_fetch_site": "cross-site"}, 204),
        ({"sec_fetch_site": "same-origin"}, 204),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
)
def test_which_pages(client_of: ClientOf, embed: Embed, headers: dict[str, str], status: int) -> None:
    """The pages that may open sessions may report steps, and no other page."""
    answer = report(client_of(embed), "ready", **headers)
    assert (answer.status, stored(embed)) == (status, "ready" if status == 204 else None)
    assert answer.headers["vary"] == "Origin"
    allowed = headers.get("origin") if status == 204 else None
    assert answer.headers.get("access-control-allow-origin") == allowed


def test_preflight(client_of: ClientOf, embed: Embed) -> None:
    """A page of another allowed origin may send JSON, after its preflight."""
    asked = {
        "Origin": OTHER_ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-csrftoken",
    }
    answer = client_of(embed).request("OPTIONS", f"/sessions/{ID}/step", headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type,x-csrftoken"


def test_other_methods(client_of: ClientOf, embed: Embed) -> None:
    """Only a POST reports a step."""
    answer = client_of(embed).get(f"/sessions/{ID}/step")
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")


def test_erased(client_of: ClientOf, embed: Embed) -> None:
    """After `forget()`, a page that is still open brings nothing back."""
    report(client := client_of(embed), "ready")
    embed.forget(user_id="user_456")
    assert report(client, "phone_verified").code == "not_found"
    assert embed.registration(ID) is None


def test_side_by_side_with_other_releases(embed: Embed) -> None:
    """A record has the field only once a step is known, and a step of a newer release is kept."""
    state = embed._core.ledger.load(ID)
    assert state is not None
    assert b"furthest_step" not in document.to_bytes(state)
    later = replace(state, registration=replace(state.registration, furthest_step="paid"))
    assert document.from_bytes(document.to_bytes(later)) == later
    assert stepped(later, "completed") == later


def test_failing_storage(client_of: ClientOf, embed: Embed, storage: Counting) -> None:
    """If the storage fails, the page is told to come back."""
    client = client_of(embed)
    storage.fails = True
    answer = report(client, "ready")
    assert (answer.status, answer.code) == (StorageUnavailable.status, "storage_unavailable")
    assert "retry-after" in answer.headers
