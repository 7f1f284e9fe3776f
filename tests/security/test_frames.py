"""No frame of an error holds a secret: tools that report errors send the local variables of each frame."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from ca_embed import Embed, PartnerClient, errors
from ca_embed._host import threads as threads_module
from ca_embed._vault import ledger as ledger_module
from ca_embed._vault.keyring import Keyring
from ca_embed.errors import EmbedError
from ca_embed.storage import MemoryStorage
from ca_embed.storage._base import SealedRecord
from tests.doors.clients import Client, WsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import KEY, OLD_KEY, SECRET, TOKEN, USER, build, delivery, payload, signed
from tests.partner.raw_server import RawServer, http, silent

SECRETS = (TOKEN, KEY, OLD_KEY, SECRET)
ID = "abc123def456ghi789jkl0"
COMPLETED = {
    "registration_id": ID,
    "status": "completed",
    "app_id": "ca_app_123",
    "app_secret": SECRET,
    "completed_at": "2026-07-04T10:00:00+00:00",
}


# --- looking into frames -------------------------------------------------------------------------


def chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """Yield an error, and all that is reachable as its cause or context, also what is not printed."""
    if error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        yield from chain(error.__cause__, seen)
        yield from chain(error.__context__, seen)


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """Yield the frames of an error's traceback."""
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def is_ours(frame: FrameType) -> bool:
    """Tell whether a frame runs our code. The sandbox is ChatArchitect's side."""
    name = str(frame.f_globals.get("__name__"))
    return name.startswith("ca_embed.") and not name.startswith("ca_embed.sandbox")


def shown(value: object) -> Iterator[str]:
    """Yield what a reporting tool may show of a value: its texts, and those of its members."""
    yield from (repr(value), str(value))
    if isinstance(value, Mapping):
        members: Iterable[object] = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        members = value
    elif dataclasses.is_dataclass(value) and "<hidden>" not in repr(value):
        members = [getattr(value, one.name, None) for one in dataclasses.fields(value) if one.repr]
    else:
        members = ()
    for member in members:
        yield from (repr(member), str(member))


def leaks_in(frame: FrameType) -> list[str]:
    """Return the names of the local variables that show a secret."""
    where = f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
    return [
        f"{name} in {where}"
        for name, value in frame.f_locals.items()
        if any(secret in text for text in shown(value) for secret in SECRETS)
    ]


def leaks_of(error: BaseException) -> list[str]:
    """Return where an error, its causes and its contexts show a secret."""
    found = []
    for one in chain(error, set()):
        found += [leak for frame in frames_of(one) if is_ours(frame) for leak in leaks_in(frame)]
        found += [
            f"{name} of {type(one).__name__}"
            for name, value in {**vars(one), "args": one.args}.items()
            if any(secret in text for text in shown(value) for secret in SECRETS)
        ]
    return found


def test_a_leak_is_found() -> None:
    """The search below finds a secret in a list, in bytes, in a dataclass and in a hidden context."""

    @dataclasses.dataclass
    class Careless:
        secret: str

    def raises() -> None:
        listed, raw, careless = [SECRET], KEY.encode(), Careless(TOKEN)
        try:
            {}[OLD_KEY]
        except KeyError:
            raise ValueError(f"{len(listed)} {len(raw)} {len(careless.secret)}") from None

    with pytest.raises(ValueError, match="1 32 31") as raised:
        raises()
    (frame,) = [one for one in frames_of(raised.value) if one.f_code.co_name == "raises"]
    assert [leak.split()[0] for leak in leaks_in(frame)] == ["listed", "raw", "careless"]
    assert leaks_of(raised.value) == ["args of KeyError"]


# --- every error of the tree ---------------------------------------------------------------------


class World:
    """An Embed with secrets, one completed registration, and ways to make it fail."""

    def __init__(self, client_of: ClientOf, partner: RawServer, caplog: pytest.LogCaptureFixture) -> None:
        self.storage, self.partner, self._caplog = MemoryStorage(), partner, caplog
        self._client_of = client_of
        self.embed = self.build()
        self.client: Client = client_of(self.embed)
        assert self.client.deliver(delivery(registration_id=ID)).status == 200

    def build(self, **overrides: Any) -> Embed:
        """Build an Embed over this storage and this Partner API."""
        arguments = {"storage": self.storage, "base_url": self.partner.base_url, **overrides}
        return build(**{"encryption_keys": [KEY, OLD_KEY], **arguments})

    def raised(self, call: Callable[[], object]) -> list[BaseException]:
        """Return what a Python call raises."""
        with pytest.raises(EmbedError) as refusal:
            call()
        return [refusal.value]

    def logged(self, request: Callable[[Client], object], embed: Embed | None = None) -> list[BaseException]:
        """Return the errors in the log of a request: what is behind a refusal."""
        client = self.client if embed is None else self._client_of(embed)
        self._caplog.clear()
        with self._caplog.at_level(logging.DEBUG, "ca_embed"):
            request(client)
        arguments = [record.args for record in self._caplog.records if isinstance(record.args, tuple)]
        found = [one for some in arguments for one in some if isinstance(one, BaseException)]
        assert found
        return found

    def delivered(self, webhook: tuple[dict[str, str], bytes], **overrides: Any) -> list[BaseException]:
        """Return the errors in the log of a delivery."""
        return self.logged(
            lambda client: client.deliver(webhook), self.build(**overrides) if overrides else None
        )

    def answers(self, *answers: Any) -> list[BaseException]:
        """Let the Partner API give these answers, and return what its calls raise."""
        found = []
        for answer in answers:
            self.partner.answers = [answer]
            with closing(self.build()) as embed, PartnerClient(self.partner.base_url, TOKEN) as client:
                found += self.raised(partial(client.result, ID))
                found += self.raised(partial(embed.retry_webhook, ID))
                found += self.raised(partial(embed.create_session, USER))
        return found

    def unanswered(self) -> list[BaseException]:
        """Return what a call raises that waits too long."""
        with PartnerClient(self.partner.base_url, TOKEN, ask_deadline=0.1) as client:
            return self.raised(partial(client.result, ID))

    def rotated(self) -> None:
        """Seal everything under the old key, which opens every record."""
        with closing(self.build(encryption_keys=[OLD_KEY, KEY])) as embed:
            embed.rotate_keys()

    def rewritten(self, change: Callable[[SealedRecord], SealedRecord]) -> list[BaseException]:
        """Change the stored record as a stranger could, and return what all ways to open it raise."""
        before = self.storage.load(ID)
        assert before is not None
        self.storage.save(replace(change(before), version=before.version + 1))
        return [
            *self.raised(lambda: self.embed.credentials(ID)),
            *self.raised(lambda: self.embed.registration(ID)),
            *self.raised(lambda: self.embed.retry_webhook(ID)),
            *self.logged(lambda _: self.embed.registrations()),
            *self.logged(lambda _: self.rotated()),
            *self.delivered(delivery(registration_id=ID)),
            *self.logged(lambda client: client.get(f"/sessions/{ID}")),
        ]


def sealed(plain: bytes, keys: list[str]) -> Callable[[SealedRecord], SealedRecord]:
    """Return a change that seals other bytes into a record."""
    blob = Keyring(keys).seal(plain, registration_id=ID, field="document")
    return lambda record: replace(record, document=blob)


def resealed_elsewhere(record: SealedRecord) -> SealedRecord:
    """Put a document into a record that belongs to another."""
    plain = Keyring([KEY]).open(record.document, registration_id=ID, field="document")
    return replace(record, document=Keyring([KEY]).seal(plain, registration_id="another", field="document"))


def contended(world: World) -> list[BaseException]:
    """Let others win every attempt to save."""
    world.storage.save = lambda record: False  # type: ignore[method-assign]
    return world.delivered(delivery(registration_id="new"), storage=world.storage)


def failing(world: World) -> list[BaseException]:
    """Let the storage fail in every way."""

    def fail(*args: object, **kwargs: object) -> Any:
        raise OSError("disk full")

    for method in ("load", "save", "list", "due", "delete"):
        setattr(world.storage, method, fail)
    with closing(world.build()) as embed:
        return [
            *world.raised(embed.registrations),
            *world.raised(embed.reconcile),
            *world.raised(partial(embed.forget, USER)),
            *world.raised(partial(embed.credentials, ID)),
            *world.delivered(delivery(registration_id="new"), storage=world.storage),
            *world.logged(lambda client: client.get("/health"), embed),
        ]


def too_many(world: World) -> list[BaseException]:
    """Open more sessions than one user may."""
    with closing(world.build(session_limit=(1, 600))) as embed:
        embed._core.session_limit.count(USER)
        return world.logged(lambda client: client.post("/sessions", b""), embed)


def foreign(world: World) -> list[BaseException]:
    """Use the storage of another application."""
    with closing(world.build(public_url="https://other.example/x", partner_token=f"{TOKEN}-other")) as embed:
        return world.raised(embed.registrations)


def busy(world: World) -> list[BaseException]:
    """Let all places of Partner API calls be taken for long."""
    embed = world.build()
    embed._core.threads._creating._begun.extend([0.0, 0.0])
    found = world.raised(
        lambda: embed._core.threads.run_here(threads_module.Pool.PARTNER, embed._core.clients.close)
    )
    embed.close()
    return found


def wrongly_built(world: World, monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Build Embeds and clients with one wrong setting beside right secrets."""
    found = [
        *world.raised(lambda: world.build(base_url="ftp://x")),
        *world.raised(lambda: world.build(partner_token=[TOKEN, TOKEN[:-20]])),
        *world.raised(lambda: world.build(partner_token=f"{TOKEN},{OLD_KEY}")),
        *world.raised(lambda: world.build(encryption_keys=[KEY, TOKEN])),
        *world.raised(lambda: world.build(encryption_keys=KEY.encode())),
        *world.raised(lambda: world.build(storage=f"postgresql://crm:{KEY}@host:nonsense/db")),
        *world.raised(lambda: world.build(identify=5)),
        *world.raised(lambda: PartnerClient("ftp://x", TOKEN)),
        *world.raised(lambda: PartnerClient("https://x.example", f"{TOKEN} {TOKEN}")),
        *world.raised(lambda: Embed.from_env(partner_token=TOKEN, encryption_keys=[KEY, KEY])),
        *world.raised(lambda: world.embed.on_completed(lambda: TOKEN)),
    ]
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", f"{TOKEN} {TOKEN}")
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", f"{KEY},{OLD_KEY}")
    return found + world.raised(Embed.from_env)


Provoke = Callable[[World], list[BaseException]]


def with_headers(world: World, **headers: str) -> list[BaseException]:
    """Deliver a right body under other headers."""
    right, body = delivery(registration_id=ID)
    return world.delivered((right | {name.replace("_", "-"): value for name, value in headers.items()}, body))


PROVOKED: dict[type[EmbedError], Provoke] = {
    errors.InvalidArgument: lambda world: world.raised(
        lambda: world.embed.create_session(USER, partner_state="\ud800")
    ),
    errors.KeysUnavailable: lambda world: [
        found
        for keys in ([KEY, KEY], [KEY, TOKEN], KEY[:8])
        for found in world.raised(world.build(encryption_keys=lambda keys=keys: keys).key_usage)
    ],
    errors.InvalidSignature: lambda world: [
        *with_headers(world, X_CA_Signature="sha256=" + "0" * 64),
        *with_headers(world, X_CA_Signature="no"),
    ],
    errors.StaleTimestamp: lambda world: world.delivered(delivery(registration_id=ID, at=1_000_000_000)),
    errors.NotSignedIn: lambda world: world.logged(
        lambda client: client.post("/sessions"), world.build(identify=lambda native: None)
    ),
    errors.TooManySessions: too_many,
    errors.InvalidRequest: lambda world: world.logged(lambda client: client.post("/sessions", b"[")),
    errors.BodyTooLarge: lambda world: world.delivered(signed(payload() + b" " * 70_000)),
    errors.UnreadableBody: lambda world: with_headers(world, Content_Length="9999"),
    errors.InvalidPayload: lambda world: [
        found
        for body in (
            payload(app_id=5),
            payload(phone=5),
            payload(completed_at="yesterday"),
            payload(registration_id="?"),
            payload(partner_user_id=5),
            payload(event=5),
            payload()[:-1],
            payload() + b"\xff",
            payload()[:-1] + b', "app_secret": "twice"}',
            payload()[:-1] + b', "more": 1e999}',
            payload(more="\ud800"),
            payload(more=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]),
            b"[" * 20_000 + payload(),
        )
        for found in world.delivered(signed(body))
    ],
    errors.MismatchedSession: lambda world: world.delivered(
        delivery(registration_id=ID, partner_user_id="eve")
    ),
    errors.ForbiddenOrigin: lambda world: world.logged(
        lambda client: client.post("/sessions", origin="https://evil.example")
    ),
    errors.NotFound: lambda world: [
        *world.logged(lambda client: client.get("/nowhere")),
        *world.raised(lambda: world.embed.retry_webhook("unknown")),
    ],
    errors.MethodNotAllowed: lambda world: world.logged(lambda client: client.get("/webhook")),
    errors.PartnerTimeout: World.unanswered,
    errors.PartnerBusy: busy,
    errors.PartnerUnavailable: lambda world: world.answers(
        http(COMPLETED | {"app_id": 5}),
        http(COMPLETED | {"completed_at": "yesterday"}),
        http(COMPLETED | {"registration_id": "another"}),
        http(COMPLETED | {"status": 5}),
        http(COMPLETED | {"app_secret": [SECRET]}),
        http(str(COMPLETED).encode()),
        http(str(COMPLETED).encode() + b"\xff"),
        http(f'{{"app_secret": "{SECRET}", "app_secret": "{SECRET}"}}'.encode()),
        http(SECRET.encode() * 10_000),
        http(COMPLETED, "500 Oops"),
        SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + SECRET.encode() + b"\r\n\r\n",
    ),
    errors.PartnerRejected: lambda world: world.answers(
        http(COMPLETED | {"message": TOKEN}, "401 No"), http(b"", "307 Go", f"Location: https://x/{SECRET}")
    ),
    errors.UnknownKey: lambda world: world.rewritten(sealed(SECRET.encode(), ["fake-key-that-is-unknown"])),
    errors.Tampered: lambda world: [
        *world.rewritten(lambda record: replace(record, user_id="eve")),
        *world.rewritten(resealed_elsewhere),
        *world.rewritten(lambda record: replace(record, document=record.document[:-1] + b"?")),
    ],
    errors.ForeignFormat: lambda world: [
        found
        for document in (
            SECRET.encode(),
            f'{{"v": 1, "app_secret": "{SECRET}"}}'.encode(),
            f'{{"v": 7, "app_secret": "{SECRET}"}}'.encode(),
            f'{{"app_secret": "{SECRET}"}}'.encode() + b"\xff",
        )
        for found in world.rewritten(sealed(document, [KEY]))
    ],
    errors.StorageUnavailable: failing,
    errors.StorageContention: contended,
    errors.ForeignStorage: foreign,
}


@pytest.fixture
def partner() -> Iterator[RawServer]:
    """A Partner API that does not answer, until it is told what to answer."""
    raw = RawServer()
    raw.answers = [silent]
    yield raw
    raw.close()


@pytest.fixture
def world(client_of: ClientOf, partner: RawServer, caplog: pytest.LogCaptureFixture) -> World:
    """An Embed with a completed registration."""
    return World(client_of, partner, caplog)


@pytest.mark.parametrize("kind", PROVOKED, ids=lambda kind: kind.__name__)
def test_no_frame_of_an_error_holds_a_secret(
    world: World, kind: type[EmbedError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However an error of the tree is provoked, no local variable of ours in its traceback shows a secret."""
    monkeypatch.setattr(ledger_module, "_GIVE_UP_AFTER", 0.0)
    found = PROVOKED[kind](world)
    assert any(type(one) is kind for one in found)
    assert [leak for one in found for leak in leaks_of(one)] == []


def test_no_frame_of_a_wrong_configuration_holds_a_secret(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what Embed was given nor what the environment says can be read from the traceback."""
    found = wrongly_built(world, monkeypatch)
    assert {type(one) for one in found} == {errors.ConfigurationError}
    assert [leak for one in found for leak in leaks_of(one)] == []
    assert all(any(is_ours(frame) for frame in frames_of(one)) for one in found), "the lines remain"


def test_every_error_is_provoked() -> None:
    """No class of the tree is left out, except the roots, which are not raised themselves."""

    def below(kind: type[EmbedError]) -> Iterator[type[EmbedError]]:
        for one in kind.__subclasses__():
            if one.__module__ == "ca_embed.errors":
                yield one
                yield from below(one)

    roots = {errors.RequestError, errors.PartnerError, errors.RecordUnreadable}
    assert set(below(EmbedError)) - roots == {*PROVOKED, errors.ConfigurationError}


# --- what the host sees --------------------------------------------------------------------------


class Bug(Exception):
    """An error that no one expects."""


def test_no_frame_of_ours_that_calls_a_handler_holds_a_secret(client_of: ClientOf) -> None:
    """A tool that reports from a handler sees our frames above it."""
    seen: list[str] = []
    embed = build()

    @embed.on_completed
    def connect(registration: Any, credentials: Any) -> None:
        frame: FrameType | None = sys._getframe().f_back
        while frame is not None:
            if is_ours(frame):
                seen.append(frame.f_code.co_name)
                seen.extend(leaks_in(frame))
            frame = frame.f_back
        raise Bug(credentials.app_secret)

    assert client_of(embed).deliver(delivery()).status == 200
    assert "run_safely" in seen
    assert [one for one in seen if " in " in one] == []


def test_no_frame_of_an_error_that_no_one_expects_holds_a_secret(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that goes through us to the host's server, which reports it, brings no secret along."""

    def bug(*args: object, **kwargs: object) -> None:
        raise Bug

    embed = build()
    client = client_of(embed)
    monkeypatch.setattr(type(embed._core.registrar), "accept", bug)
    with pytest.raises(Bug) as late:
        client.deliver(delivery())
    monkeypatch.setattr("ca_embed._webhook.parse_object", bug)
    with pytest.raises(Bug) as early:
        client.deliver(delivery())
    monkeypatch.setattr("ca_embed.embed.build_core", bug)
    with pytest.raises(Bug) as built:
        build()
    for raised in (late, early, built):
        assert leaks_of(raised.value) == []


@pytest.mark.parametrize(
    ("broken", "call"),
    [
        ("ca_embed._vault.keyring.Keyring.seal", Embed.rotate_keys),
        ("ca_embed._vault.keyring.Keyring.open", Embed.registrations),
        ("ca_embed._vault.document._Layout.read", lambda embed: embed.credentials(ID)),
        ("ca_embed._partner.client.PartnerHttp", lambda embed: embed.retry_webhook(ID)),
        ("ca_embed._partner.client.PartnerClient", lambda embed: embed.create_session(USER)),
    ],
)
def test_a_bug_below_a_call_brings_no_secret_along(
    monkeypatch: pytest.MonkeyPatch, broken: str, call: Callable[[Embed], object]
) -> None:
    """An error that no one expects, below a Python call, shows no secret either."""

    def bug(*args: object, **kwargs: object) -> None:
        raise Bug

    storage = MemoryStorage()
    with closing(build(storage=storage, encryption_keys=[OLD_KEY])) as before:
        WsgiClient(before.wsgi).deliver(delivery(registration_id=ID))
    with closing(build(storage=storage, encryption_keys=[KEY, OLD_KEY])) as embed:
        embed.registrations()
        embed._core.ledger.canary.before_sealing()
        monkeypatch.setattr(broken, bug)
        with pytest.raises(Bug) as raised:
            call(embed)
    assert leaks_of(raised.value) == []


def test_the_settings_of_django_are_in_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Embed that Django's settings describe shows no secret of them when one is wrong."""
    from ca_embed.adapters.django import _settings

    described = {
        "PARTNER_TOKEN": TOKEN,
        "ENCRYPTION_KEYS": [KEY],
        "STORAGE": "memory:",
        "BASE_URL": "ftp://x",
    }
    monkeypatch.setattr(_settings, "settings", SimpleNamespace(CA_EMBED=described, ALLOWED_HOSTS=[]))
    with pytest.raises(errors.ConfigurationError) as raised:
        _settings._build("CA_EMBED", [])
    assert leaks_of(raised.value) == []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_brings_no_secret_along(
    partner: RawServer, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    """When a call to the Partner API or the storage is stopped, no frame of ours or below shows a secret."""

    def stop(*args: object, **kwargs: object) -> None:
        raise kind

    partner.answers = [http(COMPLETED)]
    with closing(build()) as embed, PartnerClient(partner.base_url, TOKEN) as client:
        WsgiClient(embed.wsgi).deliver(delivery(registration_id=ID))
        monkeypatch.setattr("ca_embed._vault.document._Layout.read", stop)
        monkeypatch.setattr("urllib3.connectionpool.HTTPConnectionPool._make_request", stop)
        for call in (client.result, embed.credentials):
            with pytest.raises(kind) as stopped:
                call(ID)
            assert leaks_of(stopped.value) == []
            below = [
                frame
                for frame in frames_of(stopped.value)
                if not frame.f_globals["__name__"].startswith("tests.")
            ]
            assert [leak for frame in below for leak in leaks_in(frame)] == []


def test_a_request_that_is_stopped_while_its_body_arrives() -> None:
    """What has arrived of a webhook is in no frame, when its worker or its task is stopped."""
    headers, body = delivery()

    class Stopping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(len(body) - 2) or self.stop()

        def stop(self) -> bytes:
            raise KeyboardInterrupt

    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/webhook",
        "wsgi.input_terminated": True,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    messages = [{"type": "http.request", "body": body[:-2], "more_body": True}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        raise asyncio.CancelledError

    async def send(message: object) -> None: ...

    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/webhook", "headers": named}
    with closing(build()) as embed:
        with pytest.raises(KeyboardInterrupt) as interrupted:
            embed.wsgi({**environ, "wsgi.input": Stopping(body)}, lambda *args: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(asyncio.CancelledError) as cancelled:
            asyncio.run(embed.asgi(scope, receive, send))
    for stopped in (interrupted, cancelled):
        assert any(frame.f_code.co_name.startswith("read_") for frame in frames_of(stopped.value))
        assert leaks_of(stopped.value) == []
