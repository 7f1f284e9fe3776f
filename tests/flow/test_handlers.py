"""Handlers run after the credentials are stored: once if nothing fails, else at least once."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from ca_embed import ConfigurationError, Credentials, Embed, Registration
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import AsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import SECRET, USER, Clock, at_sandbox, build, closing, delivery

ACCEPTED, DUPLICATE = {"status": "accepted"}, {"status": "duplicate"}
SOME_ID = "abc123def456ghi789jkl0"


class Recorder:
    """A handler that keeps its runs, and fails as often as the test says."""

    def __init__(self, *failures: BaseException) -> None:
        self.runs: list[tuple[str, str]] = []
        self._failures = list(failures)

    def __call__(self, registration: Registration, credentials: Credentials) -> None:
        self.runs.append((registration.registration_id, credentials.app_secret))
        if self._failures:
            raise self._failures.pop(0)


def with_handler(handler: Any, **overrides: Any) -> Embed:
    """Build an Embed with one handler, named "connect"."""
    embed = build(**overrides)
    embed.on_completed(name="connect")(handler)
    return embed


def test_a_handler_runs_once(client_of: ClientOf) -> None:
    """A handler gets the registration and its credentials once, also if they are delivered several times."""
    embed = build()
    seen = []

    @embed.on_completed
    def connect(registration: Registration, credentials: Credentials) -> None:
        stored = embed.credentials(registration.registration_id)
        seen.append(
            (registration.user_id, registration.status, credentials.app_secret, stored == credentials)
        )

    client = client_of(embed)
    assert client.deliver(delivery()).json == ACCEPTED
    assert seen == [(USER, "completed", SECRET, True)]
    assert client.deliver(delivery()).json == DUPLICATE
    embed.reconcile()
    assert len(seen) == 1


def test_a_handler_runs_for_newer_credentials(client_of: ClientOf) -> None:
    """The handler runs again for newer credentials, and not for older ones."""
    handler = Recorder()
    client = client_of(with_handler(handler))
    for secret, year in (("first", "2026"), ("second", "2027"), ("third", "2025")):
        client.deliver(delivery(app_secret=secret, completed_at=f"{year}-07-04T10:00:00Z"))
    assert [secret for _, secret in handler.runs] == ["first", "second"]


@pytest.mark.parametrize(
    "failure",
    [RuntimeError(SECRET), KeyError("x"), ValueError("\ud800"), asyncio.CancelledError(), SystemExit(1)],
)
def test_a_handler_that_fails(
    client_of: ClientOf, failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing handler changes no response. It is due again within 30 s, and reconcile() runs it again."""
    clock = Clock()
    handler = Recorder(failure)
    embed = with_handler(handler, clock=clock)
    assert client_of(embed).deliver(delivery(at=clock())).json == ACCEPTED
    assert "reason=failed name=connect" in caplog.text
    assert type(failure).__name__ in caplog.text
    assert SECRET not in caplog.text
    did = embed.reconcile()
    assert (did.handlers_done, did.handlers_failed, len(handler.runs)) == (0, 0, 1)
    clock.advance(30)
    assert embed.reconcile().handlers_done == 1
    assert handler.runs == [(SOME_ID, SECRET)] * 2
    clock.advance(9999)
    assert embed.reconcile().handlers_done == 0


def test_back_off(client_of: ClientOf) -> None:
    """A handler that fails again and again runs less and less often, but at least once an hour."""
    clock = Clock()
    handler = Recorder(*[OSError()] * 20)
    embed = with_handler(handler, clock=clock)
    client_of(embed).deliver(delivery(at=clock()))
    times = []
    begun = clock()
    while len(handler.runs) <= 12:
        clock.advance(15)
        if embed.reconcile().handlers_failed:
            times.append(clock() - begun)
    waits = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert waits == sorted(waits)
    assert waits[0] <= 30
    assert waits[1] > waits[0]
    assert 3600 <= max(waits) <= 3615


def test_one_of_two_fails(client_of: ClientOf) -> None:
    """If one handler fails, the other is not run again."""
    clock = Clock()
    good, bad = Recorder(), Recorder(OSError())
    embed = build(clock=clock)
    embed.on_completed(name="bad")(bad)
    embed.on_completed(name="good")(good)
    assert client_of(embed).deliver(delivery(at=clock())).json == ACCEPTED
    clock.advance(30)
    did = embed.reconcile()
    assert (did.handlers_done, len(good.runs), len(bad.runs)) == (1, 1, 2)


def test_handlers_left_to_reconcile(client_of: ClientOf) -> None:
    """With handlers="reconcile" a delivery runs no handler, and reconcile() runs all."""
    handler = Recorder()
    embed = with_handler(handler, handlers="reconcile")
    assert client_of(embed).deliver(delivery()).json == ACCEPTED
    assert handler.runs == []
    assert embed.reconcile().handlers_done == 1
    assert embed.reconcile().handlers_done == 0
    assert len(handler.runs) == 1


def test_a_worker_without_the_handler(client_of: ClientOf) -> None:
    """A worker that does not know a handler leaves its run to workers that know it."""
    storage = MemoryStorage()
    handler = Recorder()
    with closing(knows_not := build(storage=storage)):
        knowing = with_handler(handler, storage=storage, handlers="reconcile")
        client_of(knowing).deliver(delivery())
        assert knows_not.reconcile().handlers_done == 0
        assert knowing.reconcile().handlers_done == 1


def test_two_handlers_of_one_name() -> None:
    """Two handlers of one name are refused, because the storage could not distinguish them."""
    with closing(embed := with_handler(Recorder())), pytest.raises(ConfigurationError, match="connect"):
        embed.on_completed(name="connect")(Recorder())


# --- claims --------------------------------------------------------------------------------------


def test_a_running_handler_is_claimed(client_of: ClientOf) -> None:
    """While one worker runs a handler, no other worker runs it. A duplicate is answered without waiting."""
    storage = MemoryStorage()
    inside, leave = threading.Event(), threading.Event()
    runs = []

    def slow(registration: Registration, credentials: Credentials) -> None:
        runs.append(1)
        inside.set()
        assert leave.wait(20)

    first, second = with_handler(slow, storage=storage), with_handler(slow, storage=storage)
    client, other = client_of(first), client_of(second)
    delivering = threading.Thread(target=lambda: client.deliver(delivery()))
    delivering.start()
    assert inside.wait(20)
    assert other.deliver(delivery()).json == DUPLICATE
    assert second.reconcile().handlers_done == 0
    assert second._core.handler_runner.claim(SOME_ID) is None
    leave.set()
    delivering.join()
    assert second.reconcile().handlers_done == 0
    assert runs == [1]


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        ("connect", 'write @embed.on_completed(name="connect")'),
        (lambda registration: None, "must take (registration, credentials)"),
        (lambda: None, "must take (registration, credentials)"),
        (lambda registration, credentials, app: None, "must take (registration, credentials)"),
    ],
    ids=["no function", "one argument", "none", "three"],
)
def test_what_is_no_handler(handler: Any, words: str) -> None:
    """A handler that cannot be called is refused at the start, before the first customer."""
    with closing(embed := build()), pytest.raises(ConfigurationError, match=re.escape(words)):
        embed.on_completed(handler)


class Crash(BaseException):
    """The end of a worker."""


def test_a_worker_that_dies(client_of: ClientOf) -> None:
    """If a worker dies in a handler, another takes over after the lease, not before."""
    storage, clock = MemoryStorage(), Clock()
    dying = with_handler(Recorder(), storage=storage, clock=clock)
    dying._core.handlers.call = Mock(side_effect=Crash)  # type: ignore[method-assign]
    with pytest.raises(Crash):
        client_of(dying).deliver(delivery(at=clock()))
    handler = Recorder()
    alive = with_handler(handler, storage=storage, clock=clock)
    clock.advance(59)
    assert client_of(alive).deliver(delivery(at=clock())).json == DUPLICATE
    assert alive.reconcile().handlers_done == 0
    clock.advance(2)
    assert alive.reconcile().handlers_done == 1
    assert handler.runs == [(SOME_ID, SECRET)]


def test_newer_credentials_while_a_handler_runs(client_of: ClientOf) -> None:
    """If credentials arrive while a handler runs, the same worker runs the handlers for them too."""
    storage = MemoryStorage()
    runs: list[str] = []
    second = build(storage=storage)
    second.on_completed(name="connect")(lambda registration, credentials: runs.append("by the other"))
    other = client_of(second)

    def handler(registration: Registration, credentials: Credentials) -> None:
        runs.append(credentials.app_secret)
        if len(runs) == 1:
            newer = delivery(app_secret="newer", completed_at="2027-01-01T00:00:00Z")
            thread = threading.Thread(target=lambda: answers.append(other.deliver(newer).json))
            thread.start()
            thread.join()

    answers: list[Any] = []
    first = with_handler(handler, storage=storage)
    assert client_of(first).deliver(delivery()).json == ACCEPTED
    assert answers == [ACCEPTED]
    assert runs == [SECRET, "newer"]
    assert second.reconcile().handlers_done == 0


def test_a_lapsed_claim_is_not_used(client_of: ClientOf) -> None:
    """If its lease ended before a worker could start, the worker leaves the handlers to others."""
    clock = Clock()
    handler = Recorder()
    embed = with_handler(handler, clock=clock)
    run = embed._core.handler_runner.run_safely

    def late(handover: Any) -> None:
        clock.advance(61)
        run(handover)

    embed._core.handler_runner.run_safely = late  # type: ignore[method-assign]
    assert client_of(embed).deliver(delivery(at=clock())).json == ACCEPTED
    assert handler.runs == []
    assert embed.reconcile().handlers_done == 1


def test_a_run_that_cannot_be_noted(client_of: ClientOf) -> None:
    """If a run cannot be stored as done, the response does not change, and the handler runs once more."""
    clock = Clock()

    class Fragile(MemoryStorage):
        broken = False

        def save(self, record: Any) -> bool:
            if self.broken:
                raise OSError
            return super().save(record)

    storage = Fragile()

    def handler(registration: Registration, credentials: Credentials) -> None:
        runs.append(1)
        storage.broken = len(runs) == 1

    runs: list[int] = []
    embed = with_handler(handler, storage=storage, clock=clock)
    assert client_of(embed).deliver(delivery(at=clock())).json == ACCEPTED
    storage.broken = False
    clock.advance(61)
    assert embed.reconcile().handlers_done == 1
    assert runs == [1, 1]


# --- asynchronous --------------------------------------------------------------------------------


def test_an_asynchronous_handler(client_of: ClientOf) -> None:
    """An asynchronous handler runs to its end before the response is sent, at both doors."""
    runs = []

    async def connect(registration: Registration, credentials: Credentials) -> None:
        await asyncio.sleep(0.01)
        runs.append(credentials.app_secret)

    assert client_of(with_handler(connect)).deliver(delivery()).json == ACCEPTED
    assert runs == [SECRET]


def test_an_asynchronous_handler_that_fails(client_of: ClientOf) -> None:
    """An asynchronous handler that fails is due again. reconcile() runs it without the host's event loop."""
    clock = Clock()
    runs = []

    async def connect(registration: Registration, credentials: Credentials) -> None:
        runs.append(1)
        if len(runs) == 1:
            raise OSError

    embed = with_handler(connect, clock=clock)
    assert client_of(embed).deliver(delivery(at=clock())).json == ACCEPTED
    clock.advance(30)
    assert embed.reconcile().handlers_done == 1


def test_the_loop_of_a_handler() -> None:
    """Under ASGI an asynchronous handler runs on the host's own event loop, also from areconcile()."""
    clock = Clock()
    loops: list[Any] = []

    async def connect(registration: Registration, credentials: Credentials) -> None:
        loops.append(asyncio.get_running_loop())
        if len(loops) == 1:
            raise OSError

    embed = with_handler(connect, clock=clock)
    with closing(embed, client := AsgiClient(embed.asgi)):
        assert client.deliver(delivery(at=clock())).json == ACCEPTED
        clock.advance(30)
        assert client.run(embed.areconcile()).handlers_done == 1
        assert loops == [client.loop, client.loop]


def test_a_blocking_handler_blocks_no_loop() -> None:
    """Under ASGI a blocking handler runs in a thread. The event loop answers others in the meantime."""
    leave = threading.Event()
    embed = with_handler(lambda registration, credentials: leave.wait(20))
    with closing(embed, client := AsgiClient(embed.asgi)):

        async def both() -> list[Any]:
            slow = asyncio.ensure_future(client.ask("POST", "/webhook", *delivery()))
            health = await client.ask("GET", "/health")
            assert not slow.done()
            leave.set()
            return [health.json, (await slow).json]

        assert client.run(both()) == [{"status": "ok"}, ACCEPTED]


def test_handlers_of_a_lost_webhook(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Handlers run for credentials from the Partner API's result.

    They do not run again for the same webhook.
    """
    handler = Recorder()
    embed = at_sandbox(sandbox)
    embed.on_completed(name="connect")(handler)
    registration_id = embed.create_session(USER).registration_id
    sandbox.complete(registration_id, deliver=False)
    client = client_of(embed)
    assert client.get(f"/sessions/{registration_id}").json["status"] == "completed"
    assert client.deliver(sandbox.signed_webhook(registration_id)).json == DUPLICATE
    assert handler.runs == [(registration_id, sandbox.secret_of(registration_id))]
