"""For the tests of the whole application: an Embed with known settings, and a clock that a test sets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from ca_embed import Embed, Session
from ca_embed._use_cases.registrar import CreatedSession, order_session
from ca_embed._vault import document
from ca_embed._webhook import sign, token_id
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage, SealedRecord

TOKEN = "fake-partner-token-of-the-tests"
OLD_TOKEN = "fake-partner-token-retired-soon"
KEY = "fake-encryption-key-of-the-tests"
OLD_KEY = "fake-encryption-key-retired-soon"
PUBLIC_URL = "https://crm.example/chatarchitect"
OWN_ORIGIN = "https://crm.example"
OTHER_ORIGIN = "https://app.partner.example"
NOBODY_LISTENS = "http://127.0.0.1:9"
USER = "user_456"
SECRET = "fake-app-secret-3fa9"


def build(**overrides: Any) -> Embed:
    """Build an Embed. By default no Partner API listens, and every request comes from the same user."""
    settings: dict[str, Any] = {
        "base_url": NOBODY_LISTENS,
        "partner_token": [TOKEN],
        "public_url": PUBLIC_URL,
        "storage": MemoryStorage(),
        "encryption_keys": [KEY],
        "identify": lambda native: USER,
        **overrides,
    }
    return Embed(**settings)


def at_sandbox(sandbox: Sandbox, **overrides: Any) -> Embed:
    """Build an Embed whose ChatArchitect is the sandbox."""
    return build(**{"base_url": sandbox.base_url, "partner_token": [sandbox.partner_token], **overrides})


class Closable(Protocol):
    """An object with a `close` method."""

    def close(self) -> None: ...


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self, now: float | None = None) -> None:
        self.now = float(int(time.time())) if now is None else now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def store_session(embed: Embed, registration_id: str, *, expires_at: float, user_id: str = USER) -> None:
    """Store an open session of the user, as if ChatArchitect had just created it."""
    ends = datetime.fromtimestamp(expires_at, UTC)
    session = Session(registration_id, f"{NOBODY_LISTENS}/?s={registration_id}", ends, "started")
    created = CreatedSession(session, token_id(embed._core.settings.tokens[0]))
    embed._core.registrar.store_session(order_session(embed._core.settings, user_id), created)


def sealed_sessions(count: int, created: float) -> Iterator[SealedRecord]:
    """Seal that many open sessions of the user, a millisecond apart, without the cost of creating each.

    created: in Unix seconds. An Embed of `build()` can open them.
    """
    storage = MemoryStorage()
    with closing(embed := build(storage=storage, clock=Clock(created))):
        store_session(embed, "model", expires_at=created + 1e6)
        ledger = embed._core.ledger
        (model,) = storage.due(created + 60, limit=1)
        plain, field, seal = document.to_bytes(ledger.opened(model)), ledger._field, ledger._keyring.seal
        for number in range(count):
            name = f"session-{number:06}"
            own = plain.replace(b'"model"', f'"{name}"'.encode())
            sealed = seal(own, registration_id=name, field=field)
            yield SealedRecord(name, 1, USER, (model.due_at or 0) + number / 1000, sealed)


def payload(**fields: Any) -> bytes:
    """Return the body of a completion; `...` leaves a field out."""
    complete = {
        "event": "whatsapp.registration.completed",
        "registration_id": "abc123def456ghi789jkl0",
        "partner_user_id": USER,
        "partner_state": None,
        "app_id": "ca_app_123",
        "app_secret": SECRET,
        "phone": "421233221242",
        "integration": "My CRM",
        "completed_at": "2026-07-04T10:00:00+00:00",
        **fields,
    }
    return json.dumps({name: value for name, value in complete.items() if value is not ...}).encode()


def signed(
    body: bytes, *, token: str = TOKEN, at: float | None = None, event_id: str = "evt_abc_1"
) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a webhook."""
    timestamp = int(time.time() if at is None else at)
    headers = {
        "Content-Type": "application/json",
        "X-CA-Event-Id": event_id,
        "X-CA-Timestamp": str(timestamp),
        "X-CA-Signature": sign(body, timestamp, token),
    }
    return headers, body


def delivery(
    *, token: str = TOKEN, at: float | None = None, event_id: str = "evt_abc_1", **fields: Any
) -> Any:
    """Return a complete, signed webhook."""
    return signed(payload(**fields), token=token, at=at, event_id=event_id)


def calls_in_progress(sandbox: Sandbox) -> int:
    """Count the calls that this sandbox is answering: its server gives each a thread."""
    server = sandbox._server and sandbox._server._server
    targets = (getattr(one, "_target", None) for one in threading.enumerate())
    return sum(getattr(target, "__self__", None) is server for target in targets if target) - 1  # it serves


def wait_until(true: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Poll until a condition is true. Fail if it does not become true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@contextmanager
def closing(*opened: Closable) -> Iterator[None]:
    """Close these at the end."""
    try:
        yield
    finally:
        for one in opened:
            one.close()
