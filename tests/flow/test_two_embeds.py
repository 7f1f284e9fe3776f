"""Two Embeds on one storage: kept apart by a namespace, and refused as strangers without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ca_embed import ConfigurationError, Embed, PartnerClient, Session
from ca_embed.errors import ForeignStorage
from ca_embed.sandbox import Sandbox
from ca_embed.storage import FilesystemStorage, MemoryStorage, SQLiteStorage
from tests.doors.clients import WsgiClient
from tests.flow.kit import OLD_TOKEN, TOKEN, USER, Clock, at_sandbox, build, closing, delivery, store_session

SOME_ID = "abc123def456ghi789jkl0"
BRAND_B = {"public_url": "https://crm.example/brand-b", "partner_token": OLD_TOKEN}


@pytest.fixture(params=["memory", "sqlite", "files"])
def storage(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """An empty storage."""
    kinds = {
        "memory": MemoryStorage,
        "sqlite": lambda: SQLiteStorage(tmp_path / "two.db"),
        "files": lambda: FilesystemStorage(tmp_path / "two"),
    }
    return kinds[request.param]()


def test_namespaces_are_apart(storage: Any) -> None:
    """Registrations of the same id and user in two namespaces and in none are three registrations."""
    embeds = [
        build(storage=storage),
        build(storage=storage, namespace="brand-a"),
        build(storage=storage, namespace="brand-b", **BRAND_B),
    ]
    with closing(*embeds):
        for embed, secret, token in zip(embeds, "xyz", (TOKEN, TOKEN, OLD_TOKEN), strict=True):
            client = WsgiClient(embed.wsgi)
            assert client.deliver(delivery(token=token, app_secret=secret)).json == {"status": "accepted"}
        for embed, secret in zip(embeds, "xyz", strict=True):
            (registration,) = embed.registrations("user_456")
            credentials = embed.credentials(registration.registration_id)
            assert credentials is not None
            assert credentials.app_secret == secret
        assert embeds[1].forget("user_456") == 1
        assert [len(embed.registrations()) for embed in embeds] == [1, 0, 1]


def test_each_pass_takes_its_own(sandbox: Sandbox, storage: Any) -> None:
    """reconcile() finishes what is due in its own namespace, many others' sessions before it or not."""
    clock = Clock()
    first = at_sandbox(sandbox, storage=storage, clock=clock, namespace="a")
    second = at_sandbox(sandbox, storage=storage, clock=clock, namespace="b")
    with closing(first, second):
        for _ in range(3):
            first.create_session("user_456")
        registration_id = second.create_session("user_456").registration_id
        sandbox.complete(registration_id, deliver=False)
        clock.advance(6)
        did = second.reconcile()
        assert (did.asked, did.completed) == (1, 1)
        assert first.reconcile().asked == 3


def test_a_record_does_not_open_in_another_namespace() -> None:
    """A sealed record that was moved to another namespace does not open."""
    from dataclasses import replace

    from ca_embed.errors import Tampered

    storage = MemoryStorage()
    with closing(
        first := build(storage=storage, namespace="a"), second := build(storage=storage, namespace="b")
    ):
        WsgiClient(first.wsgi).deliver(delivery())
        (registration,) = first.registrations()
        record = storage.load(f"a:{registration.registration_id}")
        assert record is not None
        storage.save(replace(record, registration_id=f"b:{registration.registration_id}", version=1))
        with pytest.raises(Tampered):
            second.registration(registration.registration_id)


def use(embed: Embed) -> None:
    """Read and write."""
    with closing(embed):
        embed.registrations()
        WsgiClient(embed.wsgi).deliver(delivery(token=embed._core.settings.tokens[0]))
        assert embed.registrations()


def test_a_stranger_is_refused(storage: Any) -> None:
    """An Embed with another address and other tokens is told so at its first use, and what to do."""
    use(build(storage=storage))
    with closing(stranger := build(storage=storage, **BRAND_B)):
        with pytest.raises(ForeignStorage, match=r"https://crm\.example/chatarchitect.*namespace="):
            stranger.registrations()
        assert WsgiClient(stranger.wsgi).deliver(delivery(token=OLD_TOKEN)).status == 503


CALLS: dict[str, Callable[[Embed], object]] = {
    "create_session": lambda embed: embed.create_session(USER),
    "credentials": lambda embed: embed.credentials(SOME_ID),
    "reconcile": lambda embed: embed.reconcile(),
    "replay": lambda embed: embed.replay(SOME_ID),
    "forget": lambda embed: embed.forget(USER),
    "purge_expired": lambda embed: embed.purge_expired(timedelta()),
    "rotate_keys": lambda embed: embed.rotate_keys(),
    "key_usage": lambda embed: embed.key_usage(),
    "disconnect": lambda embed: embed.disconnect(SOME_ID),
    "export": lambda embed: embed.export(USER),
    "events": lambda embed: embed.events(SOME_ID),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_stranger_leaves_no_trace(storage: Any, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Embed of another application is refused and changes nothing, whatever it tries first."""
    clock = Clock()
    with closing(owner := build(storage=storage, clock=clock)):
        use(owner)
        store_session(owner, "expired", expires_at=clock() - 10)
        owner._core.session_limit.count(USER)
    before = storage.list(limit=99)
    session = Session("new", "https://chat.example/?s=new", datetime.now(UTC), "started")
    monkeypatch.setattr(PartnerClient, "create_session", lambda *_, **__: session)
    with closing(stranger := build(storage=storage, clock=clock, **BRAND_B)):
        stranger.on_completed(name="of the stranger")(lambda _registration, _credentials: None)
        with pytest.raises(ForeignStorage):
            CALLS[call](stranger)
        assert storage.list(limit=99) == before


def test_the_page_of_a_stranger_leaves_no_trace(storage: Any) -> None:
    """A page that asks for a session is refused before its user is counted."""
    use(build(storage=storage))
    before = storage.list(limit=99)
    with closing(stranger := build(storage=storage, **BRAND_B)):
        assert WsgiClient(stranger.wsgi).post("/sessions", origin="https://crm.example").status == 503
        assert storage.list(limit=99) == before


def test_a_change_of_one_locks_no_one_out(storage: Any) -> None:
    """A new token alone, then a new address alone, then another token: all work, also the first again."""
    use(build(storage=storage))
    use(build(storage=storage, partner_token=[OLD_TOKEN]))
    use(build(storage=storage, public_url="https://new.example/x", partner_token=[OLD_TOKEN]))
    use(
        build(
            storage=storage, public_url="https://new.example/x", partner_token="fake-partner-token-the-third"
        )
    )
    use(build(storage=storage))


@pytest.mark.parametrize("namespace", ["a b", "A", "x" * 41, "a:b", 7])
def test_what_is_no_namespace(namespace: Any) -> None:
    """A namespace that cannot be part of an id is refused."""
    with pytest.raises(ConfigurationError, match="namespace must be"):
        build(namespace=namespace)
