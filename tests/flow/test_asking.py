"""If the webhook does not come: status requests and reconcile() ask the Partner API, and sessions expire."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ca_embed import Embed, PartnerClient, PartnerUnavailable, StorageUnavailable
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import WsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import Clock, at_sandbox, build, calls_in_progress, closing, wait_until


def asked(sandbox: Sandbox) -> int:
    """Count the requests for a result that the sandbox got."""
    return sum("action=result" in entry.path for entry in sandbox.journal)


def lost(sandbox: Sandbox, embed: Embed) -> str:
    """Create a session whose webhook never comes."""
    registration_id = embed.create_session("user_456").registration_id
    sandbox.complete(registration_id, deliver=False)
    return registration_id


def test_a_status_request_finds_a_lost_completion(client_of: ClientOf, sandbox: Sandbox) -> None:
    """If the webhook got lost, a status request completes the registration and runs the handlers."""
    embed = at_sandbox(sandbox)
    handed = []
    embed.on_completed(lambda registration, credentials: handed.append(credentials.app_secret))
    registration_id = lost(sandbox, embed)
    shown = client_of(embed).get(f"/sessions/{registration_id}").json
    assert (shown["status"], shown["phone"]) == ("completed", "421233221242")
    assert handed == [sandbox.secret_of(registration_id)]
    assert embed.credentials(registration_id) is not None


def test_questions_are_throttled(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Two processes on one storage ask about one registration once in 3 s.

    They ask about two at the same time.
    """
    storage, clock = MemoryStorage(), Clock()
    embeds = [at_sandbox(sandbox, storage=storage, clock=clock) for _ in range(2)]
    first, second = (embeds[0].create_session("user_456").registration_id for _ in range(2))
    clients = [client_of(embed) for embed in embeds]
    for _ in range(3):
        for client in clients:
            assert client.get(f"/sessions/{first}").json["status"] == "started"
    assert asked(sandbox) == 1
    clients[1].get(f"/sessions/{second}")
    assert asked(sandbox) == 2
    clock.advance(2.9)
    clients[1].get(f"/sessions/{first}")
    assert asked(sandbox) == 2
    clock.advance(0.1)
    clients[1].get(f"/sessions/{first}")
    assert asked(sandbox) == 3


def test_a_completed_registration_is_not_asked_about(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Once the credentials are stored, the Partner API is not asked again."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)
    registration_id = lost(sandbox, embed)
    client = client_of(embed)
    for _ in range(3):
        clock.advance(60)
        client.get(f"/sessions/{registration_id}")
        embed.reconcile()
    assert asked(sandbox) == 1


@pytest.mark.parametrize(
    "knobs", [{"api_status": 500}, {"api_status": 404}, {"api_garbage": True}, {"api_redirect": True}]
)
def test_a_status_request_while_the_partner_fails(
    client_of: ClientOf, sandbox: Sandbox, knobs: dict[str, Any]
) -> None:
    """If asking fails, the page gets the stored state."""
    embed = at_sandbox(sandbox)
    registration_id = embed.create_session("user_456").registration_id
    sandbox.knobs.update(knobs)
    answer = client_of(embed).get(f"/sessions/{registration_id}")
    assert (answer.status, answer.json["status"]) == (200, "started")
    assert asked(sandbox) >= 1


def test_a_status_request_while_others_wait_for_the_partner(sandbox: Sandbox) -> None:
    """If no more threads may wait for the Partner API, the page gets the stored state."""
    embed = at_sandbox(sandbox)
    client = WsgiClient(embed.wsgi)
    first, second = (embed.create_session("user_456").registration_id for _ in range(2))
    wait_until(lambda: calls_in_progress(sandbox) == 0)  # those that have created the sessions
    sandbox.knobs.api_delay = 300
    with closing(embed), ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.get, f"/sessions/{first}")
        wait_until(lambda: calls_in_progress(sandbox) >= 1)
        answer = client.get(f"/sessions/{second}")
        assert (answer.status, answer.json["status"]) == (200, "started")
        assert not waiting.done()
        sandbox.stop()
    assert waiting.result().status == 200


def test_a_new_word_of_the_partner(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Every status that the Partner API names is shown and stored."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)
    registration_id = embed.create_session("user_456").registration_id
    client = client_of(embed)
    for status in ("phone_code_sent", "phone_verified", "form_completed", "fb_started"):
        sandbox.advance(registration_id, status)
        clock.advance(3)
        assert client.get(f"/sessions/{registration_id}").json["status"] == status
        (registration,) = embed.registrations(status=status)
        assert registration.registration_id == registration_id


# --- reconcile -----------------------------------------------------------------------------------


def test_reconcile_finishes_a_lost_webhook(sandbox: Sandbox) -> None:
    """reconcile() does not ask about a session for 5 s.

    Then it completes it, runs its handlers, and counts that.
    """
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, clock=clock)):
        handed = []
        embed.on_completed(lambda registration, credentials: handed.append(registration.registration_id))
        registration_id = lost(sandbox, embed)
        clock.advance(4.9)
        assert embed.reconcile().asked == 0
        clock.advance(0.2)
        did = embed.reconcile()
        assert (did.asked, did.completed, did.handlers_done) == (1, 1, 1)
        assert handed == [registration_id]
        assert embed.reconcile().asked == 0


def test_reconcile_asks_about_every_open_session(sandbox: Sandbox) -> None:
    """Each pass asks about all open sessions, also more than one page. A refusal does not stop it."""
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, clock=clock)):
        ids = [embed.create_session("user_456").registration_id for _ in range(103)]
        clock.advance(6)
        assert embed.reconcile().asked == 103
        clock.advance(6)
        for registration_id in ids[::50]:
            sandbox.complete(registration_id, deliver=False)
        did = embed.reconcile()
        assert (did.asked, did.completed, did.unanswered) == (103, 3, 0)


def test_reconcile_while_the_partner_is_down(sandbox: Sandbox) -> None:
    """A Partner API that is down is not asked about every session. Once it is up, it is asked about all."""
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, clock=clock)):
        for _ in range(6):
            lost(sandbox, embed)
        sandbox.knobs.api_status = 500
        clock.advance(6)
        did = embed.reconcile()
        assert (did.asked, did.unanswered, did.completed) == (3, 6, 0)
        sandbox.knobs.reset()
        clock.advance(6)
        assert embed.reconcile().completed == 6


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_reconcile_after_a_failure(sandbox: Sandbox, status: int) -> None:
    """The next pass asks about an open session again, after any answer of the Partner API."""
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, clock=clock)):
        lost(sandbox, embed)
        sandbox.knobs.api_status = status
        clock.advance(6)
        did = embed.reconcile()
        assert (did.asked, did.unanswered, did.completed) == (1, 1, 0)
        sandbox.knobs.reset()
        clock.advance(31)
        assert embed.reconcile().completed == 1


def test_sessions_that_never_get_an_answer(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the Partner API always fails for some sessions, it is still asked about the others."""
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, clock=clock)):
        whole = [lost(sandbox, embed) for _ in range(2)]
        clock.advance(1)
        broken = {embed.create_session("user_456").registration_id for _ in range(4)}
        ask = PartnerClient.result

        def result(client: PartnerClient, registration_id: str) -> Any:
            if registration_id in broken:
                raise PartnerUnavailable("fails at this one")
            return ask(client, registration_id)

        monkeypatch.setattr(PartnerClient, "result", result)
        completed = 0
        for _ in range(3):
            clock.advance(6)
            completed += embed.reconcile().completed
        assert completed == 2
        assert all(embed.credentials(registration_id) is not None for registration_id in whole)


def test_two_workers_reconcile(sandbox: Sandbox) -> None:
    """Two workers at the same time ask about each session once, and run each handler once."""
    import threading

    storage, clock = MemoryStorage(), Clock()
    handed: list[str] = []
    embeds = [at_sandbox(sandbox, storage=storage, clock=clock) for _ in range(2)]
    with closing(*embeds):
        for embed in embeds:
            embed.on_completed(
                lambda registration, credentials: handed.append(registration.registration_id), name="connect"
            )
        ids = sorted(lost(sandbox, embeds[0]) for _ in range(10))
        clock.advance(6)
        workers = [threading.Thread(target=embed.reconcile) for embed in embeds]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert sorted(handed) == ids
        assert asked(sandbox) == 10


# --- expiry --------------------------------------------------------------------------------------


def test_expiry_is_shown_at_once(client_of: ClientOf, sandbox: Sandbox) -> None:
    """A session whose time is over shows as expired, also if the Partner API cannot be asked."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)
    registration_id = embed.create_session("user_456").registration_id
    sandbox.knobs.api_status = 500
    clock.advance(3601)
    assert client_of(embed).get(f"/sessions/{registration_id}").json["status"] == "expired"
    registration = embed.registration(registration_id)
    assert registration is not None
    assert registration.status == "expired"


def test_reconcile_counts_expiry_once(sandbox: Sandbox) -> None:
    """reconcile() counts an expired session once, and does not ask about it again."""
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, clock=clock)):
        registration_id = embed.create_session("user_456").registration_id
        sandbox.expire(registration_id)
        clock.advance(6)
        assert embed.reconcile().expired == 1
        clock.advance(6)
        did = embed.reconcile()
        assert (did.expired, did.asked) == (0, 0)


def test_expiry_with_the_partner_down(sandbox: Sandbox) -> None:
    """Sessions expire by the clock. While the Partner API is down they stay due, for a week at most."""
    storage, clock = MemoryStorage(), Clock()
    with closing(embed := at_sandbox(sandbox, storage=storage, clock=clock)):
        for _ in range(5):
            embed.create_session("user_456")
        sandbox.knobs.api_status = 500
        clock.advance(3601)
        assert embed.reconcile().expired == 5
        clock.advance(901)
        did = embed.reconcile()
        assert (did.unanswered, did.expired) == (5, 0)
        clock.advance(8 * 24 * 3600)
        while embed.reconcile().asked:
            clock.advance(400)
        assert list(storage.due(clock() + 10**6, limit=9)) == []


def test_a_completion_after_expiry(client_of: ClientOf, sandbox: Sandbox) -> None:
    """A completion that comes after the session expired is accepted."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)
    registration_id = embed.create_session("user_456").registration_id
    sandbox.expire(registration_id)
    clock.advance(6)
    embed.reconcile()
    sandbox.complete(registration_id, deliver=False)
    webhook = sandbox.signed_webhook(registration_id, timestamp=int(clock()))
    assert client_of(embed).deliver(webhook).json == {"status": "accepted"}
    assert [one.registration_id for one in embed.registrations(status="completed")] == [registration_id]


# --- trouble -------------------------------------------------------------------------------------


def test_one_unreadable_record(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A record that cannot be opened is counted and named. It does not delay the others."""
    from dataclasses import replace

    storage, clock = MemoryStorage(), Clock()
    with closing(embed := at_sandbox(sandbox, storage=storage, clock=clock)):
        broken, whole = sorted(lost(sandbox, embed) for _ in range(2))
        record = storage.load(broken)
        assert record is not None
        storage.save(replace(record, version=record.version + 1, document=b"\x00" * 80))
        clock.advance(6)
        with caplog.at_level(logging.INFO, "ca_embed"):
            did = embed.reconcile()
        assert (did.unreadable, did.completed) == (1, 1)
        assert [one.registration_id for one in embed.registrations()] == [whole]
        assert f"record {broken!r}" in caplog.text


def test_reconcile_without_a_storage() -> None:
    """reconcile() raises StorageUnavailable if the storage fails."""
    from tests.doors.test_errors import Broken

    with closing(embed := build(storage=Broken(OSError("disk")))), pytest.raises(StorageUnavailable):
        embed.reconcile()


def test_a_storage_that_does_not_close() -> None:
    """An error that a driver raises in close() becomes StorageUnavailable, like all its errors."""

    class Stuck(MemoryStorage):
        def close(self) -> None:
            raise OSError("the server has gone away")

    with pytest.raises(StorageUnavailable, match="OSError"):
        build(storage=Stuck()).close()
