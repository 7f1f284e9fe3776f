"""The process that accepts the credentials does not know the handlers."""

from __future__ import annotations

from ca_embed import Credentials, Embed, Registration
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.flow.kit import Clock, at_sandbox, closing


def with_handler(embed: Embed, handed: list[str]) -> Embed:
    """Give the Embed a handler that keeps the user ids it was called for."""

    @embed.on_completed(name="connect")
    def connect(registration: Registration, credentials: Credentials) -> None:
        handed.append(registration.registration_id)

    return embed


def test_a_process_without_handlers_leaves_them_to_the_host(sandbox: Sandbox) -> None:
    """After a stand-alone reconcile, the next pass of the host's process runs the handlers."""
    storage, clock, handed = MemoryStorage(), Clock(), list[str]()
    host = with_handler(at_sandbox(sandbox, storage=storage, clock=clock), handed)
    alone = at_sandbox(sandbox, storage=storage, clock=clock)
    with closing(host, alone):
        registration_id = host.create_session("user_456").registration_id
        sandbox.complete(registration_id, deliver=False)
        clock.advance(10)
        assert alone.reconcile().completed == 1
        assert handed == []
        assert host.reconcile().handlers_done == 1
        assert handed == [registration_id]
        assert host.reconcile().handlers_done == 0


def test_no_run_is_due_where_no_process_has_handlers(sandbox: Sandbox) -> None:
    """In a host without handlers, nothing stays due."""
    storage, clock = MemoryStorage(), Clock()
    embed = at_sandbox(sandbox, storage=storage, clock=clock)
    with closing(embed):
        registration_id = embed.create_session("user_456").registration_id
        sandbox.complete(registration_id, deliver=False)
        clock.advance(10)
        assert embed.reconcile().completed == 1
        assert list(storage.due(clock() + 10**6, limit=9)) == []


def test_a_renamed_handler_runs_under_its_new_name(sandbox: Sandbox) -> None:
    """The process that accepts the credentials runs its own handlers, and reports the others."""
    storage, clock, handed = MemoryStorage(), Clock(), list[str]()
    before = at_sandbox(sandbox, storage=storage, clock=clock)
    before.on_completed(name="old name")(lambda registration, credentials: None)
    after = with_handler(at_sandbox(sandbox, storage=storage, clock=clock), handed)
    with closing(before, after):
        registration_id = before.create_session("user_456").registration_id
        sandbox.complete(registration_id, deliver=False)
        clock.advance(10)
        assert after.reconcile().handlers_done == 1
        assert handed == [registration_id]
        assert after.reconcile().handlers_unknown == 0  # the older process may still run it
        clock.advance(25 * 3600)
        assert [after.reconcile().handlers_unknown for _ in range(3)] == [1, 0, 0]
        (registration,) = after.registrations()
        assert [(one.name, one.state) for one in registration.handlers] == [
            ("old name", "due"),
            ("connect", "done"),
        ]
        clock.advance(25 * 3600)
        assert after.reconcile().handlers_parked == 1
