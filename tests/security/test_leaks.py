"""After a full run, no secret is in files, logs, responses or errors."""

from __future__ import annotations

import gc
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ca_embed import Embed, EmbedError
from ca_embed._cli.capture import Capture
from ca_embed._partner.transport import HttpReply
from ca_embed._use_cases.registrar import SessionOrder
from ca_embed.http._messages import Request
from ca_embed.sandbox import Sandbox
from tests.doors.clients import Answer, Client
from tests.doors.fixtures import ClientOf
from tests.flow.kit import KEY, OLD_KEY, USER, Clock, at_sandbox, build, delivery, signed

OLD_PARTNER = "fake-old-partner-token-1"
NEW_PARTNER = "fake-new-partner-token-2"


class Recording(Client):
    """A client that keeps every response."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.answers: list[Answer] = []

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        self.answers.append(self._client.request(*args, **kwargs))
        return self.answers[-1]


@pytest.fixture
def partner() -> Iterator[Sandbox]:
    """A local ChatArchitect that knows both tokens."""
    with Sandbox(partner_tokens=[OLD_PARTNER, NEW_PARTNER]) as running:
        yield running


def run_well_and_badly(embed: Embed, client: Client, sandbox: Sandbox, clock: Clock) -> None:
    """Complete registrations in every way, and cause each refusal once."""

    @embed.on_completed
    def failing(registration: Any, credentials: Any) -> None:
        raise RuntimeError(f"cannot connect {credentials.app_secret}")

    ids = [client.post("/sessions", b'{"lang": "es"}').json["registration_id"] for _ in range(3)]
    for registration_id in ids:
        sandbox.complete(registration_id, deliver=False)
    webhook = sandbox.signed_webhook(ids[0])
    for headers in (webhook[0], {}, webhook[0] | {"X-CA-Timestamp": "1"}):
        client.deliver((headers, webhook[1]))
    client.deliver(webhook)
    client.deliver(sandbox.signed_webhook(ids[0], payload_overrides={"partner_user_id": "eve"}))
    client.deliver(sandbox.signed_webhook(ids[0], timestamp=1_000_000_000))
    for broken in (webhook[1][:-1], webhook[1].replace(b'"app_id"', b'"app_secret"'), b"[" * 50 + webhook[1]):
        client.deliver(signed(broken, token=NEW_PARTNER))
    client.get(f"/sessions/{ids[1]}")
    for path in ("/", "/health", f"/sessions/{ids[0]}", "/sessions/unknown", "/nowhere", "/ca-embed.js"):
        client.get(path)
    clock.advance(6)
    embed.reconcile()


def run_into_errors(embed: Embed, client: Client, sandbox: Sandbox) -> list[BaseException]:
    """Let the Partner API fail, and build Embeds with wrong arguments. Return the exceptions."""
    raised: list[BaseException] = []

    def call(function: Callable[[], object]) -> None:
        with pytest.raises(EmbedError) as refusal:
            function()
        raised.append(refusal.value)

    for knobs in ({"api_status": 401}, {"api_garbage": True}, {"api_redirect": True}):
        sandbox.knobs.update(knobs)
        client.post("/sessions")
        call(lambda: embed.create_session(USER))
        sandbox.knobs.reset()
    call(lambda: build(partner_token=NEW_PARTNER[:12]))
    call(lambda: build(encryption_keys=[KEY[:15]]))
    return raised


@pytest.mark.parametrize("storage", ["sqlite:///{}/storage/r.db", "file:{}/storage"])
def test_nothing_leaks(
    client_of: ClientOf, partner: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, storage: str
) -> None:
    """No secret is in any file, log record (of any library, at DEBUG), response, error or repr."""
    (tmp_path / "storage").mkdir(mode=0o700)
    clock = Clock()
    embed = at_sandbox(
        partner,
        storage=storage.format(tmp_path),
        partner_token=[NEW_PARTNER, OLD_PARTNER],
        encryption_keys=[KEY, OLD_KEY],
        clock=clock,
    )
    client = Recording(client_of(embed))
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="urllib3"):
        run_well_and_badly(embed, client, partner, clock)
        raised = run_into_errors(embed, client, partner)
    app_secrets = [partner.secret_of(one.registration_id) for one in partner.sessions]
    completed = embed.registrations(status="completed")
    assert len(completed) == 3
    secrets = [*app_secrets, NEW_PARTNER, OLD_PARTNER, KEY, OLD_KEY]

    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert len(stored) > 1000
    logged = "\n".join(f"{vars(one)} {one.getMessage()}" for one in caplog.records)
    assert "urllib3" in logged
    answered = "".join(f"{one.headers} {one.body!r}" for one in client.answers)
    errors = "".join("".join(traceback.format_exception(one)) + repr(vars(one)) for one in raised)
    shown = repr(
        [embed, embed.registrations(), [embed.credentials(one.registration_id) for one in completed]]
    )
    for number, secret in enumerate(secrets):
        for place, text in {
            "file": stored.decode("latin-1"),
            "log": logged,
            "answer": answered,
            "error": errors,
            "repr": shown,
        }.items():
            assert secret not in text, f"secret {number} is in a {place}"
    for one in partner.sessions:
        assert one.app_id not in answered
        assert one.app_id not in stored.decode("latin-1")
        assert one.app_id not in logged


def test_files_are_private(client_of: ClientOf, tmp_path: Path) -> None:
    """Only the owner may read the files that the storages write."""
    for url in (f"sqlite:///{tmp_path}/r.db", f"file:{tmp_path}/r"):
        client_of(build(storage=url)).deliver(delivery())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_no_object_of_an_embed_shows_a_secret(partner: Sandbox) -> None:
    """No object of a class of ours shows a secret in its repr."""
    embed = at_sandbox(partner, partner_token=[NEW_PARTNER], encryption_keys=[KEY])
    embed.create_session(USER)
    gc.collect()  # what other tests have left
    ours = [one for one in gc.get_objects() if str(type(one).__module__).startswith("ca_embed.")]
    assert len(ours) > 5
    for one in ours:
        if not type(one).__module__.startswith("ca_embed.sandbox"):
            assert NEW_PARTNER not in repr(one)
            assert KEY not in repr(one)
    embed.close()


# --- log lines -----------------------------------------------------------------------------------


def test_what_carries_a_secret_does_not_show_it() -> None:
    """The values that pass between modules hide their secrets in repr: a traceback or a log may show it."""
    secret = "fake-secret-in-a-repr"
    order = SessionOrder(
        user_id=USER,
        parent_origin="https://crm.example",
        webhook_url="https://crm.example/webhook",
        partner_state=secret,
        integration=None,
        lang="en",
    )
    cookies = (("cookie", secret.encode()),)
    request = Request("GET", "/", cookies, {"HTTP_COOKIE": secret})
    answer = HttpReply(200, secret.encode())
    capture = Capture(secret.encode(), (), ())
    assert secret not in repr([order, request, answer, capture])


def reason_of(caplog: pytest.LogCaptureFixture) -> str:
    """Return the reason in the one log line of the last request, and clear the log."""
    (record,) = [one for one in caplog.records if one.name == "ca_embed"]
    caplog.clear()
    _, _, rest = record.getMessage().partition("reason=")
    return rest.split()[0]


def test_one_line_for_each_decision(client_of: ClientOf, sandbox: Sandbox, caplog: Any) -> None:
    """Each decision on a delivery is one log line with its reason.

    If the delivery is authentic, it names the registration.
    """
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)
    registration_id = embed.create_session(USER, partner_state="s").registration_id
    client = client_of(embed)
    token = sandbox.partner_token
    caplog.set_level(logging.DEBUG, "ca_embed")
    caplog.clear()
    known = {"registration_id": registration_id, "partner_state": "s", "token": token}
    headers, body = delivery(at=clock(), **known)
    lines: list[tuple[str, Any]] = [
        ("bad_shape", ({}, body)),
        ("bad_shape", (headers | {"X-CA-Timestamp": "+5"}, body)),
        ("bad_mac", (headers, body + b" ")),
        ("stale", delivery(at=clock() - 400, **known)),
        ("stale", delivery(at=clock() + 400, **known)),
        ("bad_json", signed(b"{", token=token, at=clock())),
        ("bad_payload", delivery(at=clock(), app_id=5, **known)),
        ("ignored", delivery(at=clock(), event="other", **known)),
        ("mismatched", delivery(at=clock(), **known | {"partner_state": "t"})),
        ("too_large", (headers, b" " * 65_537)),
        ("accepted", (headers, body)),
        ("duplicate", (headers, body)),
        ("older", delivery(at=clock(), app_id="x", completed_at="2020-01-01T00:00:00Z", **known)),
    ]
    for reason, webhook in lines:
        client.deliver(webhook)
        assert f"event_id={webhook[0]['X-CA-Event-Id']}" in caplog.text if webhook[0] else True
        if reason in ("accepted", "duplicate", "older", "mismatched"):
            assert registration_id in caplog.text
        assert "fake-app-secret" not in caplog.text
        assert reason_of(caplog) == reason


@pytest.mark.parametrize(
    ("off", "words"), [(-400, "400.0 s in the past"), (400, "400.0 s in the future"), (-9e8, "in the past")]
)
def test_a_wrong_clock_shows(client_of: ClientOf, caplog: Any, off: float, words: str) -> None:
    """If the operator's clock is wrong, the log line of the refusal tells by how much."""
    clock = Clock()
    client_of(build(clock=clock)).deliver(delivery(at=clock() + off))
    assert words in caplog.text


def test_lines_of_the_pages(client_of: ClientOf, sandbox: Sandbox, caplog: Any) -> None:
    """Refusals of pages and outcomes of sessions are one log line each."""
    caplog.set_level(logging.INFO, "ca_embed")
    client = client_of(at_sandbox(sandbox))
    for reason, headers, knobs in (
        ("created", {}, {}),
        ("forbidden_origin", {"origin": "https://evil.example"}, {}),
        ("partner_rejected", {}, {"api_status": 401}),
        ("partner_unavailable", {}, {"api_status": 500}),
    ):
        sandbox.knobs.update(knobs)
        client.post("/sessions", **headers)
        assert reason_of(caplog) == reason


def test_a_log_line_cannot_be_forged(client_of: ClientOf, caplog: Any) -> None:
    """No part of a request breaks a log line or begins a second one."""
    caplog.set_level(logging.DEBUG, "ca_embed")
    client = client_of(build())
    headers, body = delivery()
    client.deliver((headers | {"X-CA-Event-Id": "evt\u0085webhook reason=accepted"}, body))
    client.deliver(({"X-CA-Event-Id": "evt webhook reason=accepted"}, body))
    client.get("/sessions/x\nwebhook reason=accepted")
    client.get("/x\r\nwebhook reason=accepted")
    for record in caplog.records:
        assert len(record.getMessage().splitlines()) == 1
        assert record.getMessage().count("reason=") == 1


# --- what strangers cost -------------------------------------------------------------------------


def test_a_stranger_costs_no_thread(client_of: ClientOf, door: str) -> None:
    """Refused and ignored deliveries start no thread and do not touch the storage.

    Nor do pages of unknown origins.
    """
    from tests.doors.test_errors import Broken

    client = client_of(build(storage=Broken(OSError())))
    before = set(threading.enumerate())
    headers, body = delivery()
    client.deliver((headers, body + b" "))
    client.deliver(({}, body))
    client.deliver(delivery(at=1_000_000_000))
    client.deliver(delivery(event="other"))
    client.deliver(signed(b"not json"))
    client.post("/sessions", origin="https://evil.example")
    client.get("/ca-embed.js")
    client.get("/nowhere")
    assert set(threading.enumerate()) <= before
    assert client.deliver(delivery()).status == 503
    if door == "asgi":
        assert not set(threading.enumerate()) <= before
