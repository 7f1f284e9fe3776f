"""A whole registration, from the click to the sealed credentials. The sandbox plays ChatArchitect."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ca_embed import Embed, PartnerRejected, Status
from ca_embed._use_cases.registrar import order_session
from ca_embed.errors import InvalidArgument, NotFound
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.fixtures import ClientOf
from tests.flow.kit import (
    KEY,
    OLD_KEY,
    OTHER_ORIGIN,
    Clock,
    at_sandbox,
    build,
    closing,
    delivery,
    wait_until,
)
from tests.flow.servers import threaded

SOME_ID = "abc123def456ghi789jkl0"


def test_create_deliver_confirm(client_of: ClientOf, sandbox: Sandbox) -> None:
    """A session is created, its webhook is delivered, its credentials are stored, and its page is told."""
    embed = at_sandbox(sandbox, integration="My CRM")
    session = embed.create_session("user_456", partner_state="s1", lang="de")
    assert (session.status, sandbox.sessions[0].partner_state) == ("started", "s1")
    assert session.iframe_url.startswith(f"{sandbox.base_url}/?s={session.registration_id}")
    assert embed.credentials(session.registration_id) is None
    sandbox.complete(session.registration_id, phone="421000111222", deliver=False)
    client = client_of(embed)
    assert client.deliver(sandbox.signed_webhook(session.registration_id)).json == {"status": "accepted"}
    assert client.get(f"/sessions/{session.registration_id}").json["status"] == "completed"
    credentials = embed.credentials(session.registration_id)
    assert credentials is not None
    assert credentials.app_secret == sandbox.secret_of(session.registration_id)
    assert credentials.app_id == sandbox.session(session.registration_id).app_id
    assert (credentials.phone, credentials.integration) == ("421000111222", "My CRM")
    registration = embed.registration(session.registration_id)
    assert registration is not None
    assert (registration.user_id, registration.lang, registration.status) == ("user_456", "de", "completed")
    assert registration.expires_at == session.expires_at


def test_over_real_sockets(sandbox: Sandbox) -> None:
    """The sandbox delivers over HTTP, and sends a lost webhook again on request."""
    with threaded(lambda url: at_sandbox(sandbox, public_url=url)) as (embed, _):
        session = embed.create_session("user_456")
        sandbox.knobs.deliveries = "lost"
        sandbox.complete(session.registration_id)
        assert embed.credentials(session.registration_id) is None
        sandbox.knobs.deliveries = "normal"
        retry = embed.retry_webhook(session.registration_id)
        assert (retry.status, retry.attempts, retry.last_error) == ("sent", 2, "")
        assert embed.credentials(session.registration_id) is not None


def test_sandbox_deliveries(sandbox: Sandbox) -> None:
    """Two copies at the same moment store one set of credentials.

    Wrongly signed and stale ones store none. A late one stores.
    """
    with threaded(lambda url: at_sandbox(sandbox, public_url=url)) as (embed, _):

        def complete(kind: Any) -> tuple[str, list[int | None]]:
            session = embed.create_session("user_456")
            sandbox.knobs.update({"deliveries": kind, "late_seconds": 0.2})
            done = sandbox.complete(session.registration_id)
            return session.registration_id, [one.status_code for one in done]

        assert complete("duplicate")[1] == [200, 200]
        for kind in ("wrong_signature", "stale_timestamp"):
            registration_id, statuses = complete(kind)
            assert statuses == [401]
            assert embed.credentials(registration_id) is None
        registration_id, statuses = complete("late")
        assert statuses == []
        wait_until(lambda: embed.credentials(registration_id))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": 7.5}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"user_id": "a\nb"}, "user_id"),
        ({"user_id": "u" * 256}, "user_id"),
        ({"user_id": "\ud800"}, "user_id"),
        ({"user_id": "u", "parent_origin": "https://evil.example"}, "parent_origin"),
        ({"user_id": "u", "lang": 7}, "lang"),
    ],
)
def test_arguments_of_a_session(sandbox: Sandbox, arguments: dict[str, Any], words: str) -> None:
    """Wrong arguments are refused by name, before the Partner API is asked."""
    with closing(embed := at_sandbox(sandbox)):
        with pytest.raises(InvalidArgument, match=words):
            embed.create_session(**arguments)
        assert sandbox.journal == []


def test_a_session_for_another_page(sandbox: Sandbox) -> None:
    """`parent_origin` may be any of the configured origins, and the mount's own."""
    with closing(embed := at_sandbox(sandbox, parent_origins=[OTHER_ORIGIN])):
        for origin in (None, OTHER_ORIGIN, "https://crm.example"):
            embed.create_session("u", parent_origin=origin)
        assert [session.parent_origin for session in sandbox.sessions] == [
            OTHER_ORIGIN,
            OTHER_ORIGIN,
            "https://crm.example",
        ]


def test_a_webhook_that_is_faster_than_we(client_of: ClientOf, sandbox: Sandbox) -> None:
    """A webhook that comes before its session was stored is kept. The session then adds its fields."""
    embed = at_sandbox(sandbox)
    order = order_session(embed._core.settings, "u1", partner_state="s1", lang="es")
    created = embed._core.registrar.create_session(order)
    session = created.session
    sandbox.complete(session.registration_id, deliver=False)
    assert client_of(embed).deliver(sandbox.signed_webhook(session.registration_id)).status == 200
    embed._core.registrar.store_session(order, created)
    registration = embed.registration(session.registration_id)
    assert registration is not None
    assert (registration.status, registration.lang, registration.user_id) == ("completed", "es", "u1")
    assert embed.credentials(session.registration_id) is not None


def test_an_unknown_registration_is_never_lost(client_of: ClientOf) -> None:
    """Credentials of an unknown registration are stored for the user that the signed webhook names."""
    embed = build()
    client = client_of(embed)
    client.deliver(delivery(partner_user_id="user_456"))
    client.deliver(delivery(registration_id="odd", partner_user_id="u" * 300))
    assert embed.credentials(SOME_ID) is not None
    assert embed.credentials("odd") is not None
    assert [one.registration_id for one in embed.registrations("user_456")] == [SOME_ID]
    assert client.get(f"/sessions/{SOME_ID}").json["status"] == "completed"


def test_a_user_id_that_no_storage_need_take(client_of: ClientOf) -> None:
    """For any user that a webhook names, the user id to search by fits every storage."""
    storage = MemoryStorage()
    client_of(build(storage=storage)).deliver(delivery(partner_user_id="u\x00" * 300))
    record = storage.load(SOME_ID)
    assert record is not None
    assert record.user_id is None


# --- duplicates and order ------------------------------------------------------------------------


def at(minutes: int) -> str:
    """Return a time of completion."""
    return (datetime(2026, 7, 4, 10, tzinfo=UTC) + timedelta(minutes=minutes)).isoformat()


@pytest.mark.parametrize(
    ("first", "second", "status", "kept"),
    [
        ({}, {"event_id": "evt_abc_2"}, "duplicate", "first"),
        ({}, {"completed_at": at(5)}, "duplicate", "first"),
        ({}, {"app_secret": "second", "completed_at": at(1)}, "accepted", "second"),
        ({}, {"app_secret": "second", "completed_at": at(-1)}, "duplicate", "first"),
        ({}, {"app_secret": "second"}, "duplicate", "first"),
        ({}, {"app_secret": "second", "at": 10}, "accepted", "second"),
        ({}, {"app_secret": "second", "at": -10}, "duplicate", "first"),
        ({}, {"app_secret": "second", "at": 10, "completed_at": at(-1)}, "duplicate", "first"),
        ({}, {"app_secret": "second", "completed_at": "2026-07-04T12:00:00+02:00"}, "duplicate", "first"),
        ({}, {"app_secret": "second", "completed_at": "2026-07-04T09:00:01-01:00"}, "accepted", "second"),
        ({}, {"app_id": "other", "completed_at": at(1)}, "accepted", "first"),
        ({"completed_at": ...}, {"completed_at": ..., "at": 9, "app_secret": "second"}, "accepted", "second"),
        ({"completed_at": ...}, {"completed_at": ..., "at": 9}, "duplicate", "first"),
    ],
)
def test_order(
    client_of: ClientOf, first: dict[str, Any], second: dict[str, Any], status: str, kept: str
) -> None:
    """The same credentials again are a duplicate.

    Others replace them if they are newer, by completion, then by signature.
    """
    clock = Clock()
    embed = build(clock=clock)
    client = client_of(embed)

    def deliver(app_secret: str = "first", at: float = 0, **fields: Any) -> str:
        return str(
            client.deliver(delivery(app_secret=app_secret, at=clock.now + at, **fields)).json["status"]
        )

    assert deliver(**first) == "accepted"
    assert deliver(**second) == status
    credentials = embed.credentials(SOME_ID)
    assert credentials is not None
    assert credentials.app_secret == kept


class Overtaken(MemoryStorage):
    """A storage in which another worker saves first, once."""

    def __init__(self) -> None:
        super().__init__()
        self.overtake: list[Callable[[], object]] = []

    def save(self, record: Any) -> bool:
        if self.overtake and record.registration_id == SOME_ID:
            self.overtake.pop()()
        return super().save(record)


@pytest.mark.parametrize(
    ("faster", "statuses", "kept"),
    [
        ({}, ["accepted", "duplicate"], "first"),
        ({"app_secret": "newer", "completed_at": at(1)}, ["accepted", "duplicate"], "newer"),
        ({"app_secret": "older", "completed_at": at(-1)}, ["accepted", "accepted"], "first"),
    ],
)
def test_a_race(client_of: ClientOf, faster: dict[str, Any], statuses: list[str], kept: str) -> None:
    """If another delivery saves first, a delivery is decided again, on the state that was stored."""
    storage = Overtaken()
    first, second = build(storage=storage), build(storage=storage)
    runs: list[str] = []
    for embed in (first, second):
        embed.on_completed(name="connect")(
            lambda registration, credentials: runs.append(credentials.app_secret)
        )
    client, other = client_of(first), client_of(second)
    answers = []
    webhook = delivery(**({"app_secret": "first"} | faster))
    storage.overtake.append(lambda: answers.append(_in_a_thread(lambda: other.deliver(webhook))))
    answers.append(client.deliver(delivery(app_secret="first")))
    assert [answer.json["status"] for answer in answers] == statuses
    credentials = first.credentials(SOME_ID)
    assert credentials is not None
    assert credentials.app_secret == kept
    assert len(runs) == statuses.count("accepted")


def _in_a_thread(call: Callable[[], Any]) -> Any:
    """Call from a thread without an event loop."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(call).result()


def test_an_event_id_poisons_nothing(client_of: ClientOf) -> None:
    """If a captured delivery uses another's event id, the other's credentials are still accepted."""
    client = client_of(build())
    client.deliver(delivery(registration_id="a", event_id="evt_b_1"))
    assert client.deliver(delivery(registration_id="b", event_id="evt_b_1")).json == {"status": "accepted"}


# --- lists ---------------------------------------------------------------------------------------


def test_lists(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Registrations are listed by user and by status. The probe of /health is never among them."""
    embed = at_sandbox(sandbox)
    open_one = embed.create_session("u1").registration_id
    done = embed.create_session("u2").registration_id
    sandbox.complete(done, deliver=False)
    client = client_of(embed)
    client.deliver(sandbox.signed_webhook(done))
    client.get("/health")
    assert {one.registration_id for one in embed.registrations()} == {open_one, done}
    assert [one.registration_id for one in embed.registrations(user_id="u1")] == [open_one]
    assert [one.registration_id for one in embed.registrations(status="completed")] == [done]
    assert [one.registration_id for one in embed.registrations(status=Status.STARTED)] == [open_one]
    assert embed.registrations(user_id="u1", status="completed") == []
    assert embed.registrations(user_id="no_one") == []


@pytest.mark.parametrize("registration_id", ["unknown", "", "../x", "~probe", None, 5])
def test_looking_for_what_is_not_there(registration_id: Any) -> None:
    """For an unknown or impossible id, reading returns None, and retry_webhook raises NotFound."""
    with closing(embed := build()):
        assert embed.registration(registration_id) is None
        assert embed.credentials(registration_id) is None
        with pytest.raises(NotFound, match="not known here"):
            embed.retry_webhook(registration_id)


def test_a_retry_before_completion(sandbox: Sandbox) -> None:
    """Asking for a webhook before completion is refused with the Partner API's 409."""
    with closing(embed := at_sandbox(sandbox)):
        session = embed.create_session("u1")
        with pytest.raises(PartnerRejected) as refusal:
            embed.retry_webhook(session.registration_id)
        assert refusal.value.partner_status == 409


# --- rotation ------------------------------------------------------------------------------------


def test_token_rotation(client_of: ClientOf) -> None:
    """A session keeps the token that created it. Both tokens verify. New sessions use the first."""
    with Sandbox(partner_tokens=["fake-old-partner-token-1", "fake-new-partner-token-2"]) as sandbox:
        storage, clock = MemoryStorage(), Clock()
        before = at_sandbox(sandbox, storage=storage)
        old = before.create_session("user_456").registration_id
        before.close()
        tokens = ["fake-new-partner-token-2", "fake-old-partner-token-1"]
        embed = at_sandbox(sandbox, storage=storage, partner_token=tokens, clock=clock)
        new = embed.create_session("user_456").registration_id
        client = client_of(embed)
        sandbox.advance(old, "phone_verified")
        assert client.get(f"/sessions/{old}").json["status"] == "phone_verified"
        for registration_id in (old, new):
            sandbox.complete(registration_id, deliver=False)
        assert client.deliver(sandbox.signed_webhook(new)).json == {"status": "accepted"}
        clock.advance(60)
        assert embed.reconcile().completed == 1
        assert embed.credentials(old) is not None


def test_a_retired_token(client_of: ClientOf) -> None:
    """A delivery that was signed with a removed token is refused."""
    embed = build(partner_token=["fake-new-partner-token-2"])
    assert client_of(embed).deliver(delivery(token="fake-old-partner-token-1")).code == "invalid_signature"


def test_key_rotation(client_of: ClientOf) -> None:
    """An old key still opens, and the first one seals.

    A record without its key is an error, not a missing record.
    """
    from ca_embed.errors import UnknownKey

    storage = MemoryStorage()
    client_of(build(storage=storage, encryption_keys=[OLD_KEY])).deliver(delivery())
    rotated = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    assert rotated.credentials(SOME_ID) is not None
    newer = delivery(app_secret="second", completed_at=at(1))
    assert client_of(rotated).deliver(newer).json == {"status": "accepted"}
    only_new = build(storage=storage)
    assert only_new.credentials(SOME_ID) is not None
    without = build(storage=storage, encryption_keys=[OLD_KEY])
    with pytest.raises(UnknownKey, match="encryption_keys"):
        without.credentials(SOME_ID)
    assert client_of(without).deliver(newer).code == "storage_unavailable"
    assert client_of(without).get(f"/sessions/{SOME_ID}").code == "storage_unavailable"


def test_a_record_moved_to_another_row(client_of: ClientOf) -> None:
    """A sealed record that was moved to another registration, or to another user, cannot be opened."""
    from dataclasses import replace

    from ca_embed.errors import Tampered

    storage = MemoryStorage()
    embed = build(storage=storage)
    client_of(embed).deliver(delivery())
    (record,) = storage.list(limit=1)
    storage.save(replace(record, registration_id="other", version=1))
    storage.save(replace(record, user_id="eve", version=record.version + 1))
    for registration_id in ("other", SOME_ID):
        with pytest.raises(Tampered, match=registration_id):
            embed.credentials(registration_id)
    assert embed.registrations("eve") == []


# --- close ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", ["memory:", "sqlite:///{}/r.db", "file:{}/r"])
def test_close_and_go_on(client_of: ClientOf, sandbox: Sandbox, tmp_path: Any, storage: str) -> None:
    """After close(), once or twice, the next use opens everything again."""
    embed: Embed = at_sandbox(sandbox, storage=storage.format(tmp_path))
    client = client_of(embed)
    first = client.post("/sessions").json["registration_id"]
    embed.close()
    embed.close()
    assert client.get(f"/sessions/{first}").json["status"] == "started"
    embed.close()
    assert client.post("/sessions").status == 201
    assert len(embed.registrations()) == 2
