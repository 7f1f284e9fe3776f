"""Signed events other than the completion: stored before they are acknowledged, and handed over in order."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ca_embed import ConfigurationError, Embed, Event, NotFound, StorageUnavailable
from ca_embed._vault.copying import copy
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage, SQLiteStorage
from tests.doors.clients import Answer
from tests.doors.fixtures import ClientOf
from tests.flow.kit import KEY, OLD_KEY, SECRET, USER, Clock, at_sandbox, build, delivery, signed

ID = "abc123def456ghi789jkl0"
SUSPENDED, RECONNECTED = "made_up.number.suspended", "made_up.number.reconnected"


def event(name: str = SUSPENDED, *, at: float | None = None, event_id: str = "evt_1", **more: Any) -> Any:
    """Return the headers and the body of a signed event."""
    body = {"event": name, "registration_id": ID, "reason": "quality", **more}
    given = {field: value for field, value in body.items() if value is not ...}
    return signed(json.dumps(given).encode(), at=at, event_id=event_id)


class Heard:
    """What the handlers of a test got."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.error is not None:
            raise self.error

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]


@pytest.fixture(name="heard")
def _heard() -> Heard:
    return Heard()


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="embed")
def _embed(heard: Heard, clock: Clock) -> Iterator[Embed]:
    with closing(listening(heard, clock=clock)) as embed:
        yield embed


def listening(heard: Heard, **settings: Any) -> Embed:
    """Build an Embed that hears of two event types."""
    embed = build(**settings)
    for name in (SUSPENDED, RECONNECTED):
        embed.on_event(name, name="hear")(heard)
    return embed


def sent(client_of: ClientOf, embed: Embed, webhook: Any) -> tuple[int, Any]:
    """Deliver an event, and return the status and the body of its response."""
    answer: Answer = client_of(embed).deliver(webhook)
    return answer.status, answer.json


ACCEPTED, DUPLICATE, IGNORED = ((200, {"status": status}) for status in ("accepted", "duplicate", "ignored"))


# --- receiving -----------------------------------------------------------------------------------


def test_the_event(client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock) -> None:
    """The handler gets the type, the registration, all fields, the label, and when it was stored."""
    assert sent(client_of, embed, event(at=clock.now)) == ACCEPTED
    (got,) = heard.events
    assert (got.name, got.registration_id, got.event_id) == (SUSPENDED, ID, "evt_1")
    assert got.payload == {"event": SUSPENDED, "registration_id": ID, "reason": "quality"}
    assert got.received_at.timestamp() == clock.now
    assert "quality" not in repr(got)
    (stored,) = embed.events(ID)
    assert asyncio.run(embed.aevents(ID)) == [stored]
    assert [(one.name, one.state, one.attempts) for one in stored.handlers] == [("hear", "done", 1)]


def test_known_again_by_its_content(client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock) -> None:
    """Neither a new label, nor a new timestamp, nor another order of the fields makes it another event."""
    sent(client_of, embed, event(at=clock.now))
    assert sent(client_of, embed, event(at=clock.now + 9, event_id="evt_2")) == DUPLICATE
    other_order = {"reason": "quality", "registration_id": ID, "event": SUSPENDED}
    assert sent(client_of, embed, signed(json.dumps(other_order).encode(), at=clock.now)) == DUPLICATE
    assert sent(client_of, embed, event(at=clock.now, reason="payment")) == ACCEPTED
    assert len(heard.events) == 2


def test_sixteen_copies_at_once(heard: Heard, client_of: ClientOf, tmp_path: Path) -> None:
    """One copy is accepted, the others are duplicates, and the handler runs once."""
    storage = SQLiteStorage(tmp_path / "events.db")
    with closing(listening(heard, storage=storage)) as embed:
        webhook = event()
        sent(client_of, embed, delivery(registration_id="warm"))
        client = client_of(embed)
        if hasattr(client, "ask"):

            async def all_at_once() -> list[Answer]:
                headers, body = webhook
                return await asyncio.gather(
                    *(client.ask("POST", "/webhook", headers, body) for _ in range(16))
                )

            answers = client.run(all_at_once())
        else:
            with ThreadPoolExecutor(16) as threads:
                answers = list(threads.map(lambda _: client_of(embed).deliver(webhook), range(16)))
        assert sorted(answer.json["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 15
        assert len(heard.events) == 1


@pytest.mark.parametrize("registration_id", [..., None, "", "no id!", 7, ["x"]])
def test_without_a_registration(
    client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock, registration_id: Any
) -> None:
    """An event that names no registration is handed over all the same. Its fields are the sender's."""
    assert sent(client_of, embed, event(registration_id=registration_id, at=clock.now)) == ACCEPTED
    assert [got.registration_id for got in heard.events] == [None]


def test_ignored_without_a_handler(client_of: ClientOf, embed: Embed, clock: Clock) -> None:
    """An event type that no handler is for is ignored, and not stored."""
    assert sent(client_of, embed, event("made_up.other", at=clock.now)) == IGNORED
    assert embed.events(ID) == []


def test_not_stored_not_acknowledged(client_of: ClientOf, heard: Heard) -> None:
    """With a storage that fails, the sender hears that the event did not arrive. No handler runs."""

    class Failing(MemoryStorage):
        def save(self, record: Any) -> bool:
            if record.registration_id.startswith("~event."):
                raise StorageUnavailable("full")
            return super().save(record)

    with closing(listening(heard, storage=Failing())) as embed:
        assert sent(client_of, embed, event())[0] == 503
        assert heard.events == []


def test_stored_but_not_claimed(client_of: ClientOf, heard: Heard, clock: Clock) -> None:
    """A storage that fails after the write changes no acknowledgement. `reconcile()` runs the handlers."""

    class FailsAfterwards(MemoryStorage):
        fails = False

        def save(self, record: Any) -> bool:
            if self.fails:
                raise StorageUnavailable("full")
            self.fails = record.registration_id.startswith("~event.")
            return super().save(record)

    storage = FailsAfterwards()
    with closing(listening(heard, storage=storage, clock=clock)) as embed:
        sent(client_of, embed, delivery(registration_id="warm", at=clock.now))
        assert sent(client_of, embed, event(at=clock.now)) == ACCEPTED
        assert heard.events == []
        storage.fails = False
        clock.advance(1)
        embed.reconcile()
        assert heard.names == [SUSPENDED]


def test_nothing_is_stored_in_the_clear(client_of: ClientOf, heard: Heard, tmp_path: Path) -> None:
    """Neither a field nor the registration's id can be read in the storage."""
    path = tmp_path / "events.db"
    with closing(listening(heard, storage=SQLiteStorage(path))) as embed:
        sent(client_of, embed, event(secret_note=SECRET))
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(text.encode() in stored for text in (SECRET, "quality", SUSPENDED, ID))


# --- handing over --------------------------------------------------------------------------------


def test_a_handler_that_fails_runs_again(
    client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender's acknowledgement does not change. The run is due again, as for completions."""
    heard.error = ValueError(SECRET)
    reported: list[str] = []
    embed.on_error(lambda error, where: reported.append(where))
    with caplog.at_level(logging.DEBUG, "ca_embed"):
        assert sent(client_of, embed, event(at=clock.now)) == ACCEPTED
    assert SECRET not in caplog.text
    (stored,) = embed.events(ID)
    assert stored.handlers[0].state == "due"
    assert reported == ["handler hear"]
    heard.error = None
    clock.advance(60)
    assert embed.reconcile().handlers_done == 1
    assert len(heard.events) == 2


def test_in_the_order_of_their_signing(client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock) -> None:
    """An event waits for one that was signed earlier and whose handler has failed so far."""
    heard.error = ValueError()
    sent(client_of, embed, event(SUSPENDED, at=clock.now))
    heard.error = None
    assert sent(client_of, embed, event(RECONNECTED, at=clock.now + 1)) == ACCEPTED
    assert heard.names == [SUSPENDED]
    clock.advance(60)
    embed.reconcile()
    assert heard.names == [SUSPENDED, SUSPENDED, RECONNECTED]
    assert [one.name for one in embed.events(ID)] == [SUSPENDED, RECONNECTED]


def test_a_later_one_arrives_first(client_of: ClientOf, heard: Heard, clock: Clock) -> None:
    """Events that wait for `reconcile()` run in the order of their signing, however they came."""
    with closing(listening(heard, clock=clock, handlers="reconcile")) as embed:
        sent(client_of, embed, event(RECONNECTED, at=clock.now))
        clock.advance(1)
        sent(client_of, embed, event(SUSPENDED, at=clock.now - 9))
        embed.reconcile()
    assert heard.names == [SUSPENDED, RECONNECTED]


def test_other_registrations_do_not_wait(
    client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock
) -> None:
    """An event of another registration runs at once."""
    heard.error = ValueError()
    sent(client_of, embed, event(at=clock.now))
    heard.error = None
    sent(client_of, embed, event(RECONNECTED, registration_id="another", at=clock.now + 1))
    assert heard.names == [SUSPENDED, RECONNECTED]


def test_a_parked_one_holds_up_no_other(
    client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock
) -> None:
    """After a day of failures an event is parked, and those after it run. A replay runs it again."""
    heard.error = ValueError()
    sent(client_of, embed, event(at=clock.now))
    for _ in range(40):
        clock.advance(3700)
        embed.reconcile()
    heard.error = None
    assert embed.events(ID)[0].handlers[0].state == "parked"
    sent(client_of, embed, event(RECONNECTED, at=clock.now))
    assert heard.names[-1] == RECONNECTED
    embed.replay(ID)
    assert embed.reconcile().handlers_done == 1
    assert heard.names[-1] == SUSPENDED


def test_replay_by_name(client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock) -> None:
    """A named handler runs again for all events of the registration, also those that are done."""
    sent(client_of, embed, event(at=clock.now))
    with pytest.raises(NotFound):
        embed.replay(ID)
    embed.replay(ID, "hear")
    embed.reconcile()
    assert heard.names == [SUSPENDED, SUSPENDED]


def test_another_process_runs_them(client_of: ClientOf, heard: Heard, clock: Clock) -> None:
    """A crash between the write and the handler loses nothing: `reconcile()` in any process runs it."""
    storage = MemoryStorage()
    with closing(listening(Heard(), storage=storage, clock=clock, handlers="reconcile")) as receiver:
        sent(client_of, receiver, event(at=clock.now))
    with closing(listening(heard, storage=storage, clock=clock)) as other:
        assert other.reconcile().handlers_done == 1
    assert heard.names == [SUSPENDED]


# --- keeping and removing ------------------------------------------------------------------------


def test_retention(client_of: ClientOf, heard: Heard, clock: Clock) -> None:
    """A pass removes events that are done, once they were kept as long as the setting says."""
    with closing(listening(heard, clock=clock, event_retention=timedelta(days=2))) as embed:
        sent(client_of, embed, event(at=clock.now))
        clock.advance(47 * 3600)
        embed.reconcile()
        assert len(embed.events(ID)) == 1
        clock.advance(3600)
        embed.reconcile()
        assert embed.events(ID) == []


def test_no_retention(client_of: ClientOf, heard: Heard, clock: Clock) -> None:
    """None keeps them for ever. What still owes a run is kept in any case."""
    heard.error = ValueError()
    with closing(listening(heard, clock=clock, event_retention=timedelta(hours=1))) as embed:
        sent(client_of, embed, event(at=clock.now))
        clock.advance(4000)
        embed.reconcile()
        assert len(embed.events(ID)) == 1
    heard.error = None
    with closing(listening(heard, clock=clock, event_retention=None)) as embed:
        sent(client_of, embed, event(at=clock.now))
        clock.advance(10_000 * 24 * 3600)
        embed.reconcile()
        assert len(embed.events(ID)) == 1


@pytest.mark.parametrize("retention", [timedelta(minutes=1), timedelta(days=-1), 90, "90 days"])
def test_wrong_retention(retention: Any) -> None:
    """A time that is too short, or no time, is refused when Embed is built."""
    with pytest.raises(ConfigurationError, match="event_retention must be"):
        build(event_retention=retention)


def test_erasing_the_user(client_of: ClientOf, embed: Embed, heard: Heard, clock: Clock) -> None:
    """Events go with their user. One that comes later is a duplicate, and is not stored."""
    sent(client_of, embed, delivery(registration_id=ID, at=clock.now))
    sent(client_of, embed, event(at=clock.now))
    assert embed.forget(USER) == 1
    assert embed.events(ID) == []
    assert sent(client_of, embed, event(RECONNECTED, at=clock.now)) == DUPLICATE
    assert embed.events(ID) == []
    assert heard.names == [SUSPENDED]


def test_erasing_that_was_cut_off(client_of: ClientOf, heard: Heard) -> None:
    """Whatever call of the storage is the last one of a worker that dies, erasing again leaves nothing."""
    number, died = 0, True
    while died:
        number += 1
        with (
            closing(listening(heard, storage=(storage := MemoryStorage()))) as embed,
            pytest.MonkeyPatch.context() as dies,
        ):
            sent(client_of, embed, delivery(registration_id=ID))
            sent(client_of, embed, event())
            calls = count(1)
            for name in ("save", "delete"):
                dies.setattr(embed._core.ledger._storage, name, dying(getattr(storage, name), calls, number))
            try:
                embed.forget(USER)
                died = False
            except KeyboardInterrupt:
                dies.undo()
                embed.forget(USER)
            assert embed.registrations() == []
            assert embed.events(ID) == []
    assert number > 2


def dying(call: Any, calls: Iterator[int], last: int) -> Any:
    """Let a call of the storage end the worker instead, if it is the last one."""

    def called(*args: Any) -> Any:
        if next(calls) == last:
            raise KeyboardInterrupt
        return call(*args)

    return called


@pytest.mark.parametrize("handled", [True, False])
def test_left_of_an_erased_user(
    client_of: ClientOf, heard: Heard, clock: Clock, monkeypatch: pytest.MonkeyPatch, handled: bool
) -> None:
    """An event that a worker has stored just before it died is handed to no one, and a pass removes it."""
    with closing(listening(heard, clock=clock, handlers="reconcile")) as embed:
        sent(client_of, embed, delivery(registration_id=ID, at=clock.now))
        sent(client_of, embed, event(at=clock.now))
        if handled:
            embed.reconcile()
        with monkeypatch.context() as dies:
            dies.setattr(embed._core.ledger, "delete_events", lambda _registration_id: None)
            embed.forget(USER)
        clock.advance(3601)
        embed.reconcile()
        assert heard.names == [SUSPENDED] * handled
        assert embed.events(ID) == []


@pytest.mark.parametrize("many", ["of the registration, handled", "of others, not handled"])
def test_handed_over_without_reading_many(client_of: ClientOf, heard: Heard, many: str) -> None:
    """However many events are stored, one more is handed over after a look at a few records."""
    storage, read = MemoryStorage(), list[int]()
    settings = {"handlers": "reconcile"} if many.endswith("not handled") else {}
    with closing(listening(heard, storage=storage, **settings)) as embed:
        for number in range(350):
            whose = {"registration_id": f"other-{number}"} if settings else {}
            sent(client_of, embed, event(number=number, **whose))
    with closing(listening(heard, storage=storage)) as embed:
        for name in ("list", "due"):
            call = getattr(storage, name)
            setattr(embed._core.ledger._storage, name, lambda *a, call=call, **k: noted(read, call(*a, **k)))
        assert sent(client_of, embed, event(RECONNECTED)) == ACCEPTED
    assert heard.names[-1] == RECONNECTED
    assert 0 < sum(read) < 300


def noted(read: list[int], records: Any) -> Any:
    """Note how many records were read."""
    read.append(len(records))
    return records


def test_duplicate_of_an_erased_user_is_durable(client_of: ClientOf, heard: Heard) -> None:
    """What another process erased is written once more before an event counts as a duplicate."""
    storage = MemoryStorage()
    with closing(listening(heard, storage=storage)) as embed:
        sent(client_of, embed, delivery(registration_id=ID))
        embed.forget(USER)
    before = storage.load(ID)
    with closing(listening(heard, storage=storage)) as other:
        assert sent(client_of, other, event()) == DUPLICATE
    after = storage.load(ID)
    assert before is not None
    assert after is not None
    assert after.version == before.version + 1


def test_export(client_of: ClientOf, embed: Embed, clock: Clock) -> None:
    """What is handed out to a user has the events of each registration."""
    sent(client_of, embed, delivery(registration_id=ID, at=clock.now))
    sent(client_of, embed, event(at=clock.now))
    (registration,) = embed.export(USER)["registrations"]
    (exported,) = registration["events"]
    assert exported["payload"]["reason"] == "quality"
    json.dumps(registration)


def test_changing_the_key(client_of: ClientOf, heard: Heard) -> None:
    """Events are sealed anew with the registrations, so an old key may go."""
    storage = MemoryStorage()
    with closing(listening(heard, storage=storage, encryption_keys=[OLD_KEY])) as old:
        sent(client_of, old, event())
    with closing(listening(heard, storage=storage, encryption_keys=[KEY, OLD_KEY])) as both:
        assert sum(both.key_usage().values()) == 1
        assert both.rotate_keys().resealed == 1
    with closing(listening(heard, storage=storage, encryption_keys=[KEY])) as new:
        assert [one.name for one in new.events(ID)] == [SUSPENDED]


@pytest.mark.parametrize("namespace", [None, "brand-a"])
def test_copy(client_of: ClientOf, heard: Heard, namespace: str | None) -> None:
    """A copy of the storage has the events too."""
    source, target = MemoryStorage(), MemoryStorage()
    with closing(listening(heard, storage=source, namespace=namespace)) as embed:
        sent(client_of, embed, delivery(registration_id=ID))
        sent(client_of, embed, event())
    assert copy(source, target).written >= 2
    assert copy(source, target).equal
    with closing(listening(heard, storage=target, namespace=namespace)) as there:
        assert len(there.events(ID)) == 1


def test_an_unreadable_one(client_of: ClientOf, clock: Clock, heard: Heard) -> None:
    """An event that cannot be opened is that event's affair: others are shown and run."""
    storage = MemoryStorage()
    with closing(listening(heard, storage=storage, clock=clock)) as embed:
        sent(client_of, embed, event(at=clock.now))
        (record,) = [one for one in storage.list(limit=50) if one.registration_id.startswith("~event.")]
        storage.save(replace(record, version=record.version + 1, document=record.document[:-1] + b"\0"))
        assert sent(client_of, embed, event(RECONNECTED, at=clock.now)) == ACCEPTED
        assert [one.name for one in embed.events(ID)] == [RECONNECTED]
        assert heard.names == [SUSPENDED, RECONNECTED]


# --- registering ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("register", "problem"),
    [
        (lambda embed: embed.on_event("whatsapp.registration.completed"), "use @embed.on_completed"),
        (lambda embed: embed.on_event(""), "needs the event type"),
        (lambda embed: embed.on_event(len), "write @embed.on_event"),
        (lambda embed: embed.on_event("x")(5), "decorates a function"),
        (lambda embed: embed.on_event("x")(lambda: None), r"must take \(event\)"),
        (lambda embed: [embed.on_event("x", name="a")(lambda event: None) for _ in "12"], "two on_event"),
    ],
)
def test_wrong_handler(register: Any, problem: str) -> None:
    """A handler that could not be called later is refused when it is registered."""
    with closing(build()) as embed, pytest.raises(ConfigurationError, match=problem):
        register(embed)


def test_asynchronous(client_of: ClientOf) -> None:
    """A handler may be asynchronous."""
    names: list[str] = []

    async def hear(event: Event) -> None:
        names.append(event.name)

    with closing(build()) as embed:
        embed.on_event(SUSPENDED)(hear)
        sent(client_of, embed, event())
    assert names == [SUSPENDED]


def test_from_the_sandbox(sandbox: Sandbox, client_of: ClientOf, heard: Heard) -> None:
    """The sandbox sends made-up events with the registration's id and user."""
    with closing(at_sandbox(sandbox)) as embed:
        embed.on_event(SUSPENDED)(heard)
        session = embed.create_session(USER)
        webhook = sandbox.send_event(session.registration_id, SUSPENDED)
        assert webhook.error  # crm.example cannot be reached
        (entry,) = [one for one in sandbox.journal if one.direction == "delivery"]
        body = json.loads(entry.request_body)
        assert (body["event"], body["partner_user_id"]) == (SUSPENDED, USER)
        assert "app_secret" not in body
