"""What attacks from the side have lost: purges, erasing, clocks, duplicates, debts, rolling releases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ca_embed import Credentials, Embed, PartnerClient, Result, StorageUnavailable
from ca_embed._registration import Completion
from ca_embed._vault.keyring import Keyring
from ca_embed._webhook import token_id
from ca_embed.storage import MemoryStorage, SealedRecord
from tests.doors.clients import WsgiClient
from tests.flow.kit import KEY, TOKEN, USER, Clock, build, closing, delivery, store_session

SOME_ID = "abc123def456ghi789jkl0"
ACCEPTED, DUPLICATE = {"status": "accepted"}, {"status": "duplicate"}


def open_session(embed: Embed, registration_id: str = SOME_ID, *, lasts: float = 3600) -> None:
    """Store an open session of the user."""
    store_session(embed, registration_id, expires_at=embed._core.clock() + lasts)


class Observed(MemoryStorage):
    """A storage that runs the test's own code before a call, and may fail for some records."""

    def __init__(self) -> None:
        super().__init__()
        self.before_delete: Any = None
        self.locked: set[str] = set()
        self.unwritable: set[str] = set()
        self.saves: list[SealedRecord] = []

    def load(self, registration_id: str) -> SealedRecord | None:
        if registration_id in self.locked:
            raise StorageUnavailable("locked")
        return super().load(registration_id)

    def save(self, record: SealedRecord) -> bool:
        if record.registration_id in self.locked | self.unwritable:
            raise StorageUnavailable("locked")
        self.saves.append(record)
        return super().save(record)

    def delete(self, registration_id: str, version: int) -> bool:
        if self.before_delete is not None:
            self.before_delete(registration_id)
        return super().delete(registration_id, version)


# --- purge and erase -------------------------------------------------------------------------------


def test_a_purge_keeps_what_is_completed_meanwhile() -> None:
    """A completion that is acknowledged while a purge runs is not deleted."""
    storage, clock = Observed(), Clock()
    with closing(embed := build(storage=storage, clock=clock)):
        open_session(embed)
        clock.advance(40 * 24 * 3600)
        client = WsgiClient(embed.wsgi)

        def complete(registration_id: str) -> None:
            if registration_id == SOME_ID:
                assert client.deliver(delivery(at=clock(), partner_user_id=USER)).json == ACCEPTED

        storage.before_delete = complete
        assert embed.purge_expired(timedelta(days=30)) == 0
        assert embed.credentials(SOME_ID) is not None


def test_erased_stays_erased() -> None:
    """A webhook, a question under way and the session itself bring nothing of an erased user back."""
    storage, clock = MemoryStorage(), Clock()
    with closing(embed := build(storage=storage, clock=clock)):
        open_session(embed)
        clock.advance(10)
        questions = embed._core.questions
        asked = questions.claim(SOME_ID, by_page=False)
        assert asked is not None
        assert embed.forget(USER) == 1
        client = WsgiClient(embed.wsgi)
        assert client.deliver(delivery(at=clock(), partner_user_id=USER)).json == DUPLICATE
        questions.note_result(asked, Result("phone_verified"))
        embed.reconcile()
        assert embed.registration(SOME_ID) is None
        assert embed.credentials(SOME_ID) is None
        assert embed.registrations() == embed.registrations(USER) == []
        assert embed.forget(USER) == 0


def test_a_tombstone_goes_in_the_end() -> None:
    """Some days after the session's end a pass removes the last trace."""
    storage, clock = MemoryStorage(), Clock()
    with closing(embed := build(storage=storage, clock=clock)):
        open_session(embed)
        embed.forget(USER)
        for _ in range(9 * 24):
            clock.advance(3600)
            embed.reconcile()
        assert storage.load(SOME_ID) is None


# --- duplicates ------------------------------------------------------------------------------------


def test_a_duplicate_is_written_by_a_process_that_has_not_written_it() -> None:
    """A process that only reads a record writes it once more before it acknowledges it as durable."""
    storage = Observed()
    with closing(first := build(storage=storage), second := build(storage=storage)):
        assert WsgiClient(first.wsgi).deliver(delivery()).json == ACCEPTED
        written = len(storage.saves)
        assert WsgiClient(first.wsgi).deliver(delivery()).json == DUPLICATE
        assert len(storage.saves) == written  # its own write has returned
        assert WsgiClient(second.wsgi).deliver(delivery()).json == DUPLICATE
        assert [record.registration_id for record in storage.saves[written:]] == [SOME_ID]


def test_a_duplicate_that_cannot_be_written_is_refused() -> None:
    """What was stored without being durable is not acknowledged by a plain read."""
    storage = Observed()
    with closing(first := build(storage=storage), second := build(storage=storage)):
        assert WsgiClient(first.wsgi).deliver(delivery()).json == ACCEPTED
        storage.unwritable = {SOME_ID}
        assert WsgiClient(second.wsgi).deliver(delivery()).status == 503


# --- one record's affair ---------------------------------------------------------------------------


def test_a_locked_record_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that are locked at the head of the queue keep no other from being finished."""
    storage, clock = Observed(), Clock()
    monkeypatch.setattr(PartnerClient, "result", lambda _client, _registration_id: Result("expired"))
    with closing(embed := build(storage=storage, clock=clock)):
        ids = [f"session-{number:02}" for number in range(20)]
        for registration_id in ids:
            open_session(embed, registration_id)
        clock.advance(10)
        storage.locked = set(ids[:4])
        did = embed.reconcile()
        assert (did.asked, did.expired, did.failed) == (16, 16, 4)


def test_a_storage_that_fails_as_a_whole_ends_the_pass() -> None:
    """If nothing can be read or written, the pass says so."""
    storage, clock = Observed(), Clock()
    with closing(embed := build(storage=storage, clock=clock)):
        for number in range(5):
            open_session(embed, f"session-{number}")
        clock.advance(10)
        storage.locked = {f"session-{number}" for number in range(5)} | {"~probe"}
        with pytest.raises(StorageUnavailable):
            embed.reconcile()


# --- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-86_400, -7200, 7200, 86_400])
def test_a_wrong_clock_ends_no_search(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """After passes by a host whose clock is wrong, a host with the right clock still finds the completion."""
    storage, clock = MemoryStorage(), Clock()
    statuses = ["started"]
    monkeypatch.setattr(PartnerClient, "result", lambda _client, _id: Result(statuses[0]))
    wrong = build(storage=storage, clock=lambda: clock() + ahead)
    with closing(embed := build(storage=storage, clock=clock), wrong):
        open_session(embed)
        clock.advance(10)
        for _ in range(3):
            wrong.reconcile()
        (registration,) = embed.registrations()
        assert registration.status == "started"
        statuses[0] = "phone_verified"
        clock.advance(60)
        assert embed.reconcile().asked == 1
        (registration,) = embed.registrations()
        assert registration.status == "phone_verified"


def test_a_claim_from_a_wrong_clock_holds_nothing_back() -> None:
    """A worker of a host two hours ahead claims handlers and dies: others run them in the next pass."""
    storage, clock, runs = MemoryStorage(), Clock(), list[str]()
    ahead = build(storage=storage, clock=lambda: clock() + 7200, handlers="reconcile")
    with closing(embed := build(storage=storage, clock=clock), ahead):
        for one in (ahead, embed):
            one.on_completed(name="connect")(lambda _registration, _credentials: runs.append("run"))
        WsgiClient(ahead.wsgi).deliver(delivery(at=clock() + 7200))
        assert ahead._core.handler_runner.claim(SOME_ID) is not None
        assert embed.reconcile().handlers_done == 1
        assert runs == ["run"]


# --- releases --------------------------------------------------------------------------------------


def test_a_newer_releases_fields_survive() -> None:
    """An older release that changes a record drops nothing of what a newer one has written into it."""
    storage, clock = MemoryStorage(), Clock()
    keyring = Keyring([KEY])
    with closing(embed := build(storage=storage, clock=clock)):
        embed.on_completed(name="connect")(lambda registration, credentials: 1 / 0)
        open_session(embed)

        def changed(change: Any) -> dict[str, Any]:
            record = storage.load(SOME_ID)
            assert record is not None
            opened = json.loads(keyring.open(record.document, registration_id=SOME_ID, field="document"))
            change(opened)
            sealed = keyring.seal(json.dumps(opened).encode(), registration_id=SOME_ID, field="document")
            assert storage.save(replace(record, version=record.version + 1, document=sealed))
            return opened

        def newer(document: dict[str, Any]) -> None:
            document["new"] = {"a": [1]}
            document["registration"]["country"] = "SK"

        changed(newer)
        assert WsgiClient(embed.wsgi).deliver(delivery(at=clock(), partner_user_id=USER)).json == ACCEPTED

        def newest(document: dict[str, Any]) -> None:
            document["credentials"]["scope"] = "all"
            document["handlers"][0]["queue"] = "slow"

        changed(newest)
        clock.advance(60)
        assert embed.reconcile().handlers_failed == 1
        after = changed(lambda document: None)
        assert after["new"] == {"a": [1]}
        assert after["registration"]["country"] == "SK"
        assert after["credentials"]["scope"] == "all"
        assert after["handlers"][0]["queue"] == "slow"
        newer_secret = delivery(
            at=clock(), partner_user_id=USER, app_secret="newer", completed_at="2027-01-01T00:00:00Z"
        )
        assert WsgiClient(embed.wsgi).deliver(newer_secret).json == ACCEPTED
        after = changed(lambda document: None)
        assert "scope" not in after["credentials"]
        assert after["new"] == {"a": [1]}


def test_both_releases_handlers_are_due() -> None:
    """A webhook that an older process accepts is due to the handlers of the newer one as well."""
    storage, clock, runs = MemoryStorage(), Clock(), list[str]()
    newer, older = build(storage=storage, clock=clock), build(storage=storage, clock=clock)
    with closing(newer, older):
        newer.on_completed(name="new")(lambda registration, _: runs.append("new"))
        older.on_completed(name="old")(lambda registration, _: runs.append("old"))
        open_session(newer)
        assert WsgiClient(older.wsgi).deliver(delivery(at=clock(), partner_user_id=USER)).json == ACCEPTED
        assert runs == ["old"]
        newer.reconcile()
        assert runs == ["old", "new"]


# --- handlers --------------------------------------------------------------------------------------


def test_parked_and_replayed() -> None:
    """A handler that fails for a day is parked, shown and counted; a replay runs it again."""
    storage, clock, ok = MemoryStorage(), Clock(), list[bool]()

    def connect(registration: Any, credentials: Any) -> None:
        if not ok:
            raise ValueError("no")

    with closing(embed := build(storage=storage, clock=clock)):
        embed.on_completed(name="connect")(connect)
        WsgiClient(embed.wsgi).deliver(delivery(at=clock()))
        for _ in range(26):
            clock.advance(3600)
            did = embed.reconcile()
        assert (did.handlers_parked, did.handlers_failed) == (1, 0)
        registration = embed.registration(SOME_ID)
        assert registration is not None
        (handler,) = registration.handlers
        assert (handler.name, handler.state) == ("connect", "parked")
        assert (handler.last_error or "").startswith("ValueError at ")
        ok.append(True)
        embed.replay(SOME_ID)
        did = embed.reconcile()
        assert (did.handlers_done, did.handlers_parked) == (1, 0)
        embed.replay(SOME_ID, "connect")
        assert embed.reconcile().handlers_done == 1


def test_a_handler_that_raises_anything() -> None:
    """What a handler raises changes no response, also if it is no Exception."""
    for raised in (GeneratorExit(), SystemExit(1), BaseException("Timeout")):

        def fail(registration: Any, credentials: Any, raised: BaseException = raised) -> None:
            raise raised

        with closing(embed := build()):
            embed.on_completed(name="connect")(fail)
            assert WsgiClient(embed.wsgi).deliver(delivery()).json == ACCEPTED


# --- results without a time ------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0, 7200])
@pytest.mark.parametrize("result_first", [True, False])
def test_a_result_without_a_time_yields_to_a_webhook(result_first: bool, ahead: int) -> None:
    """A result that names no time of completion never outranks a signed webhook, whichever comes first.

    ahead: how many seconds the clock of the host that created the session is ahead.
    """
    clock = Clock()
    with closing(embed := build(clock=clock)):
        open_session(embed)
        clock.advance(10)
        asked = embed._core.questions.claim(SOME_ID, by_page=False)
        assert asked is not None
        completed_at = datetime.fromtimestamp(clock() - ahead, UTC).isoformat()
        clock.advance(10)
        client = WsgiClient(embed.wsgi)
        steps = [
            lambda: embed._core.questions.note_result(asked, undated_result(clock)),
            lambda: client.deliver(
                delivery(at=clock(), app_secret="signed", completed_at=completed_at, partner_user_id=USER)
            ),
        ]
        for step in steps if result_first else reversed(steps):
            step()
        credentials = embed.credentials(SOME_ID)
        assert credentials is not None
        assert credentials.app_secret == "signed"


def undated_result(clock: Clock) -> Result:
    """Return a completed result that names no time, and has other credentials than the webhook."""
    credentials = Credentials(
        app_id="ca_app_123",
        app_secret="from-result",
        phone=None,
        integration=None,
        completed_at=datetime.fromtimestamp(clock(), UTC),
    )
    completion = Completion(
        registration_id=SOME_ID,
        credentials=credentials,
        signed_at=None,
        partner_fields=None,
        token_id=token_id(TOKEN),
        dated=False,
    )
    return Result("completed", completion)
