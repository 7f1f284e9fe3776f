"""A running sandbox, a partner that calls it, and a receiver for its webhooks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from ca_embed.sandbox import Sandbox

TOKENS = ["fake-partner-token-one", "fake-partner-token-two"]


@dataclass
class Received:
    """One request that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.body)
        return payload


@dataclass
class Receiver:
    """A small host application. It keeps the requests, and returns the set response."""

    url: str = ""
    status: int = 200
    answer: bytes = b'{"status": "accepted"}'
    answer_headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def wait_for(self, count: int) -> list[Received]:
        wait_until(lambda: len(self.received) >= count)
        return self.received


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until the condition is true. Fail after ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "this did not happen within ten seconds"
        time.sleep(0.01)


class Partner:
    """A partner's backend, which calls the API as the guide describes."""

    def __init__(self, sandbox: Sandbox, receiver: Receiver, token: str = TOKENS[0]) -> None:
        self.base_url = sandbox.base_url
        self.token = token
        self.session_body = {
            "parent_origin": "https://crm.example",
            "webhook_url": f"{receiver.url}/webhook",
            "partner_user_id": "user_456",
            "partner_state": "opaque-state-value",
            "integration": "My CRM",
            "lang": "en",
        }

    def call(self, method: str, action: str, **keywords: Any) -> requests.Response:
        keywords.setdefault("headers", {"Authorization": f"Bearer {self.token}"})
        keywords.setdefault("timeout", 20)
        return requests.request(
            method,
            f"{self.base_url}/partner?action={action}",
            allow_redirects=False,
            **keywords,
        )

    def create(self, **changes: object) -> requests.Response:
        """Create a session with changed fields. None removes a field."""
        body = {name: value for name, value in (self.session_body | changes).items() if value is not None}
        return self.call("POST", "create_session", json=body)

    def created(self, **changes: object) -> str:
        answer = self.create(**changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["registration_id"])

    def result(self, registration_id: str) -> requests.Response:
        return self.call("GET", f"result&registration_id={registration_id}")

    def retry(self, registration_id: object) -> requests.Response:
        return self.call("POST", "retry_webhook", json={"registration_id": registration_id})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that two partners share."""
    with Sandbox(partner_tokens=TOKENS) as running:
        yield running


@pytest.fixture
def partner(sandbox: Sandbox, receiver: Receiver) -> Partner:
    """The partner of the first token."""
    return Partner(sandbox, receiver)


@pytest.fixture
def other_partner(sandbox: Sandbox, receiver: Receiver) -> Partner:
    """The partner of the second token."""
    return Partner(sandbox, receiver, TOKENS[1])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A running receiver."""
    with listening() as state:
        yield state


@contextmanager
def listening() -> Iterator[Receiver]:
    """Run a receiver inside the block."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(Received(self.path, dict(self.headers.items()), body))
            self.send_response(state.status)
            for name, value in state.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            self.wfile.write(state.answer)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
