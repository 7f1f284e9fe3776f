"""The host's own functions and storages, synchronous or not, at both doors. Also the awaitable twins."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ca_embed import Embed
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import AsgiClient, WsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import SECRET, USER, Clock, at_sandbox, build, closing, delivery

SOME_ID = "abc123def456ghi789jkl0"
A_UUID = UUID("12345678-1234-5678-1234-567812345678")


# --- identify ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "user_id"), [("u1", "u1"), (7, "7"), (0, "0"), (A_UUID, str(A_UUID)), ("\u00fc", "\u00fc")]
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_identify_returns(
    client_of: ClientOf, sandbox: Sandbox, returned: Any, user_id: str, asynchronous: bool
) -> None:
    """Texts, numbers and UUIDs are user ids, from a plain function and from a coroutine function."""

    async def identify(native: Any) -> Any:
        await asyncio.sleep(0)
        return returned

    embed = at_sandbox(sandbox, identify=identify if asynchronous else lambda native: returned)
    assert client_of(embed).post("/sessions").status == 201
    assert sandbox.sessions[0].partner_user_id == user_id
    assert [one.user_id for one in embed.registrations()] == [user_id]


@pytest.mark.parametrize("returned", [True, 1.5, b"u1", ["u1"], "u\x00", "u" * 256, object()])
def test_what_no_user_id_is(client_of: ClientOf, caplog: pytest.LogCaptureFixture, returned: Any) -> None:
    """If `identify` returns something that cannot be a user id, no one is signed in.

    The log tells the operator.
    """
    answer = client_of(build(identify=lambda native: returned)).post("/sessions")
    assert (answer.status, answer.code) == (401, "not_signed_in")
    assert "reason=identify_failed" in caplog.text


class Unawaited:
    """An object whose call is a coroutine function."""

    async def __call__(self, native: Any) -> None:
        raise LookupError("fake-session-cookie")


def plainly(native: Any) -> None:
    """Fail as a plain function does."""
    raise LookupError("fake-session-cookie")


@pytest.mark.parametrize("failing", [plainly, Unawaited()], ids=["plain", "asynchronous"])
def test_identify_fails(client_of: ClientOf, caplog: pytest.LogCaptureFixture, failing: Any) -> None:
    """If `identify` raises, no one is signed in.

    One line of the log names the exception and its place, not its text.
    """
    with caplog.at_level(logging.DEBUG, "ca_embed"):
        assert client_of(build(identify=failing)).get(f"/sessions/{SOME_ID}").code == "not_signed_in"
    (record,) = [one for one in caplog.records if one.name == "ca_embed"]
    assert record.getMessage().startswith("session reason=identify_failed (identify raised ")
    assert "test_host.py:" in record.getMessage()
    assert record.exc_info is None
    assert "cookie" not in caplog.text


def test_without_identify(client_of: ClientOf) -> None:
    """Without `identify` no one is signed in. Webhooks are accepted all the same."""
    client = client_of(build(identify=None))
    assert client.get("/").code == "not_signed_in"
    assert client.deliver(delivery()).json == {"status": "accepted"}


def test_what_identify_gets() -> None:
    """`identify` gets the WSGI environ or the ASGI scope itself."""
    seen: list[Any] = []
    embed = build(identify=seen.append)
    with closing(embed, client := AsgiClient(embed.asgi, state={"user": 5})):
        WsgiClient(embed.wsgi, REMOTE_USER="someone").get("/")
        client.get("/")
    assert seen[0]["REMOTE_USER"] == "someone"
    assert seen[1]["state"] == {"user": 5}


def test_the_loop_of_identify() -> None:
    """Under ASGI any coroutine runs on the host's own event loop. A plain function does not."""
    seen: dict[str, Any] = {}

    async def asynchronous(scope: Any) -> str:
        seen["coroutine function"] = asyncio.get_running_loop(), threading.current_thread()
        return USER

    def plain(scope: Any) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen["plain"] = threading.current_thread()
        return USER

    async def inner() -> str:
        seen["made by a plain one"] = asyncio.get_running_loop(), threading.current_thread()
        return USER

    for identify in (asynchronous, plain, lambda scope: inner()):
        embed = build(identify=identify)
        with closing(embed, client := AsgiClient(embed.asgi)):
            assert client.get("/").status == 200
            own = client.loop, threading.current_thread()
            if "plain" not in seen:
                assert seen["coroutine function"] == own
    assert seen["plain"] is not threading.current_thread()
    assert seen["made by a plain one"] == own


def test_context_variables_reach_identify() -> None:
    """`identify` and handlers see the context variables that the host's middleware has set."""
    from contextvars import ContextVar

    user: ContextVar[str] = ContextVar("user", default="no_one")
    seen = []
    embed = build(identify=lambda scope: user.get())
    embed.on_completed(lambda registration, credentials: seen.append(user.get()))

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        user.set("from the middleware")
        await embed.asgi(scope, receive, send)

    with closing(embed, client := AsgiClient(middleware)):
        client.deliver(delivery(partner_user_id="from the middleware"))
        assert client.get(f"/sessions/{SOME_ID}").status == 200
    assert seen == ["from the middleware"]


# --- an asynchronous storage ---------------------------------------------------------------------


class AsyncMemory:
    """An asynchronous storage that keeps the event loops it runs on."""

    def __init__(self) -> None:
        self._memory = MemoryStorage()
        self.loops: set[Any] = set()

    async def load(self, registration_id: str) -> Any:
        await self._turn()
        return self._memory.load(registration_id)

    async def save(self, record: Any) -> bool:
        await self._turn()
        return self._memory.save(record)

    async def delete(self, registration_id: str, version: int) -> bool:
        await self._turn()
        return self._memory.delete(registration_id, version)

    async def due(self, by: float, *, limit: int, after: Any = None) -> Any:
        await self._turn()
        return self._memory.due(by, limit=limit, after=after)

    async def list(self, *, user_id: str | None = None, limit: int, after: str | None = None) -> Any:
        await self._turn()
        return self._memory.list(user_id=user_id, limit=limit, after=after)

    async def close(self) -> None:
        await self._turn()

    async def _turn(self) -> None:
        self.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)


def test_an_asynchronous_storage(client_of: ClientOf, sandbox: Sandbox) -> None:
    """An AsyncStorage works for a whole registration, at both doors and from plain Python."""
    clock = Clock()
    embed = at_sandbox(sandbox, storage=AsyncMemory(), clock=clock)
    handed: list[str] = []
    embed.on_completed(lambda registration, credentials: handed.append(registration.registration_id))
    client = client_of(embed)
    first, second = (client.post("/sessions").json["registration_id"] for _ in range(2))
    for registration_id in (first, second):
        sandbox.complete(registration_id, deliver=False)
    webhook = sandbox.signed_webhook(first, timestamp=int(clock()))
    assert client.deliver(webhook).json == {"status": "accepted"}
    clock.advance(6)
    assert embed.reconcile().completed == 1
    assert handed == [first, second]
    assert client.get("/health").status == 200
    assert len(embed.registrations(USER)) == 2


def test_the_loop_of_a_storage() -> None:
    """Under ASGI an AsyncStorage runs on the host's own event loop."""
    storage = AsyncMemory()
    embed = build(storage=storage)
    with closing(client := AsgiClient(embed.asgi)):
        client.deliver(delivery())
        client.run(embed.aclose())
        assert storage.loops == {client.loop}


# --- awaitable twins -----------------------------------------------------------------------------

BLOCKING = (
    *("create_session", "registration", "registrations", "credentials", "reconcile", "retry_webhook"),
    *("rotate_keys", "key_usage", "forget", "purge_expired", "close"),
)


def test_the_awaitable_twins(sandbox: Sandbox) -> None:
    """Every blocking method has an awaitable twin that returns and raises the same."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)

    async def story() -> None:
        session = await embed.acreate_session(USER, partner_state="s", lang="es")
        registration_id = session.registration_id
        sandbox.complete(registration_id, deliver=False)
        assert await embed.acredentials(registration_id) is None
        clock.advance(6)
        assert (await embed.areconcile()).completed == 1
        assert await embed.acredentials(registration_id) == embed.credentials(registration_id)
        assert await embed.aregistration(registration_id) == embed.registration(registration_id)
        assert await embed.aregistrations(USER, "completed") == embed.registrations(USER, "completed")
        assert len(await embed.aregistrations()) == 1
        assert (await embed.aretry_webhook(registration_id)).status == "sent"
        with pytest.raises(ValueError, match="user_id"):
            await embed.acreate_session("")
        assert await embed.akey_usage() == embed.key_usage()
        assert await embed.arotate_keys(dry_run=True) == embed.rotate_keys(dry_run=True)
        assert await embed.apurge_expired(timedelta(0), dry_run=True) == 0
        assert await embed.aforget("no_one") == 0
        await embed.aclose()
        assert await embed.acredentials(registration_id) is not None
        await embed.aclose()

    asyncio.run(story())


def test_no_twin_is_missing() -> None:
    """Each public method that blocks has an awaitable twin with the same parameters."""
    import inspect

    for name in BLOCKING:
        twin = getattr(Embed, f"a{name}")
        assert inspect.iscoroutinefunction(twin)
        assert inspect.signature(twin).parameters == inspect.signature(getattr(Embed, name)).parameters


def test_no_repr_shows_a_secret(client_of: ClientOf) -> None:
    """The credentials that a twin returns hide their secret in repr, in lists and in format."""
    embed = build()
    client_of(embed).deliver(delivery())
    credentials = embed.credentials(SOME_ID)
    assert credentials is not None
    assert SECRET not in f"{credentials} {[credentials]!r} {embed.registrations()} {embed!r}"
