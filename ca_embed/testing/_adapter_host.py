"""A host application under test. A real server runs it, and a sandbox plays ChatArchitect."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from threading import Event
from typing import Any, Protocol
from urllib.parse import urlencode

from ca_embed._registration import Credentials, Registration
from ca_embed.embed import Embed
from ca_embed.sandbox import Sandbox
from ca_embed.storage import SealedRecord
from ca_embed.storage._memory import MemoryStorage
from ca_embed.testing._raw_http import TIMEOUT, HttpResponse, Pairs, send
from ca_embed.testing._webhooks import signature_headers, signed_webhook

USER_HEADER = "X-User"
STAFF = "staff"  # the user who may open the operator's page

_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
_CSRF = re.compile(r'csrf-header="([^"]*)" csrf-token="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Site:
    """What `AdapterContract` asks your method `serve()` to serve.

    embed: the Embed. Mount it with your adapter at `prefix`, in an application of your framework.
    prefix: the path of the mount inside that application, like "/chatarchitect".
    below: the path of the whole application, "" or like "/outer". The server must tell it to the
        application, as SCRIPT_NAME, as root_path, or in the way of your framework.
    listener: the listening socket to serve on. The Embed's `public_url` has its port.
    """

    embed: Embed
    prefix: str
    below: str
    listener: socket.socket


class Serving(Protocol):
    """The methods of AdapterContract that `running` needs."""

    def serve(self, site: Site) -> AbstractContextManager[None]:
        """Serve the site inside the context."""

    def user_of(self, request: Any) -> str | None:
        """Return the user of the framework's own request, or None."""

    def in_handler(self) -> None:
        """Raise inside a completion handler if something of the framework is missing."""


class Gate:
    """Blocks calls with one name while it is closed, to make them slow."""

    def __init__(self) -> None:
        self.reached: Event = Event()  # set when a call waits here
        self._name: str | None = None
        self._opened = Event()

    @contextmanager
    def closed(self, name: str) -> Iterator[None]:
        """Block calls with this name inside the block."""
        self.reached.clear()
        self._opened.clear()
        self._name = name
        try:
            yield
        finally:
            self._name = None
            self._opened.set()

    def pass_through(self, name: str | None) -> None:
        """Wait here if the gate is closed for this name."""
        if name is not None and name == self._name:
            self.reached.set()
            self._opened.wait(TIMEOUT)


class GatedStorage(MemoryStorage):
    """A storage whose `load` waits at the gate."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def load(self, registration_id: str) -> SealedRecord | None:
        """Wait at the gate for this registration id, then load the record."""
        self._gate.pass_through(registration_id)
        return super().load(registration_id)


class Clock:
    """The time of the host, which a test may set ahead: `reconcile()` asks about older sessions only."""

    def __init__(self) -> None:
        self.ahead: float = 0.0  # seconds

    def __call__(self) -> float:
        """Return Unix seconds."""
        return time.time() + self.ahead


@dataclass(slots=True, kw_only=True)
class Host:
    """A served host application: requests to it, and the calls of its completion handler."""

    sandbox: Sandbox
    embed: Embed
    gate: Gate
    port: int
    path: str
    clock: Clock
    completed: list[tuple[Registration, Credentials]] = field(default_factory=list)

    def send(
        self,
        method: str,
        path: str,
        headers: Pairs = (),
        body: bytes = b"",
        *,
        user: str | None = None,
        **framing: Any,
    ) -> HttpResponse:
        """Send one request to a path below the mount. `framing`: keywords of `_raw_http.send`."""
        signed_in = [(USER_HEADER, user)] if user else []
        return send(self.port, method, self.path + path, [*signed_in, *headers], body, **framing)

    def csrf_headers(self, user: str) -> list[tuple[str, str]]:
        """Load the page, and return its cookies and its CSRF token as headers, as a browser sends them."""
        page = self.send("GET", "/", user=user)
        cookies = SimpleCookie()
        for line in page.all("set-cookie"):
            cookies.load(line)
        sent = [("Cookie", "; ".join(f"{name}={kept.coded_value}" for name, kept in cookies.items()))]
        found = _CSRF.search(page.body.decode())
        token = [(html.unescape(found[1]), html.unescape(found[2]))] if found else []
        return (sent if cookies else []) + token

    def open_session(self, user: str = "alice", headers: Pairs = (), **fields: object) -> HttpResponse:
        """Send `POST /sessions` as the hosted page does."""
        asked = [*self.csrf_headers(user), ("Content-Type", "application/json"), *headers]
        return self.send("POST", "/sessions", asked, json.dumps(fields).encode(), user=user)

    def press(self, path: str, action: str) -> HttpResponse:
        """Load a page for the staff, and send its form for this action as a browser does."""
        page = self.send("GET", path, user=STAFF).body.decode()
        forms = [dict(_HIDDEN.findall(form)) for form in page.split("<form")]
        (fields,) = [form for form in forms if form.get("action") == action]
        headers = [
            ("Origin", f"http://127.0.0.1:{self.port}"),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ]
        return self.send("POST", "/staff", headers, urlencode(fields).encode(), user=STAFF)

    def deliver(self, registration_id: str, **fields: Any) -> HttpResponse:
        """Send a signed webhook of a registration."""
        headers, body = signed_webhook(self.sandbox.partner_token, registration_id=registration_id, **fields)
        return self.send("POST", "/webhook", headers.items(), body)

    def lose_webhook(self) -> str:
        """Complete a registration whose webhook never comes, and return its id. `reconcile()` finds it."""
        registration_id: str = self.open_session().json()["registration_id"]
        self.sandbox.complete(registration_id, deliver=False)
        return registration_id

    @contextmanager
    def later(self) -> Iterator[None]:
        """Set the clock ahead inside the block, so that open sessions are due for `reconcile()`."""
        self.clock.ahead = 10.0
        try:
            yield
        finally:
            self.clock.ahead = 0.0

    def signed(self, body: bytes) -> list[tuple[str, str]]:
        """Return the two headers that sign these bytes."""
        return list(signature_headers(self.sandbox.partner_token, body).items())

    def runs_of(self, registration_id: str) -> int:
        """Return how often the handler has run for a registration."""
        return sum(registration.registration_id == registration_id for registration, _ in self.completed)


@contextmanager
def running(contract: Serving, *, prefix: str, below: str = "", asynchronous: bool = False) -> Iterator[Host]:
    """Serve a host application with the contract's `serve()`, and yield it.

    asynchronous: make `identify` and the handler coroutine functions.
    """
    with Sandbox() as sandbox, socket.create_server(("127.0.0.1", 0)) as listener:
        port, gate, clock = listener.getsockname()[1], Gate(), Clock()
        embed = Embed(
            base_url=sandbox.base_url,
            partner_token=sandbox.partner_token,
            public_url=f"http://127.0.0.1:{port}{below}{prefix}",
            storage=GatedStorage(gate),
            encryption_keys="contract-encryption-key",
            identify=_identify(contract, gate, asynchronous=asynchronous),
            staff=_staff(contract, asynchronous=asynchronous),
            clock=clock,
            session_limit=None,
        )
        host = Host(sandbox=sandbox, embed=embed, gate=gate, port=port, path=below + prefix, clock=clock)
        embed.on_completed(name="contract")(_handler(contract, host, asynchronous=asynchronous))
        with contract.serve(Site(embed, prefix, below, listener)):
            yield host
        embed.close()


def reconcile_program(program: Path, app: str, *, storage: str) -> dict[str, int]:
    """Lose a webhook, run `ca-embed reconcile --app` on the program, and return the report.

    storage: the URL of an empty storage that both processes can use.
    """
    with Sandbox() as sandbox:
        settings: dict[str, Any] = {
            "base_url": sandbox.base_url,
            "partner_token": sandbox.partner_token,
            "public_url": "http://127.0.0.1:9/chatarchitect",
            "storage": storage,
            "encryption_keys": "contract-encryption-key",
        }
        with closing(Embed(**settings, clock=lambda: time.time() - 10)) as embed:
            sandbox.complete(embed.create_session("alice").registration_id, deliver=False)
        variables = {f"CA_EMBED_{name.upper()}": value for name, value in settings.items()}
        command = ("-m", "ca_embed", "reconcile", "--json", "--app", f"{program.stem}:{app}")
        ran = subprocess.run(  # noqa: S603 (our own command)
            [sys.executable, *command],
            cwd=program.parent,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    report: dict[str, int] = json.loads(ran.stdout.splitlines()[-1])  # a handler may print too
    return report


def _identify(contract: Serving, gate: Gate, *, asynchronous: bool) -> Callable[[Any], Any]:
    def identify(request: Any) -> str | None:
        user = contract.user_of(request)
        gate.pass_through(user)
        return user

    async def identify_async(request: Any) -> str | None:
        await asyncio.sleep(0)
        return contract.user_of(request)

    return identify_async if asynchronous else identify


def _staff(contract: Serving, *, asynchronous: bool) -> Callable[[Any], Any]:
    """Let in the user who is named like the staff."""

    def staff(request: Any) -> bool:
        return contract.user_of(request) == STAFF

    async def staff_async(request: Any) -> bool:
        await asyncio.sleep(0)
        return staff(request)

    return staff_async if asynchronous else staff


def _handler(contract: Serving, host: Host, *, asynchronous: bool) -> Callable[..., Any]:
    def handler(registration: Registration, credentials: Credentials) -> None:
        contract.in_handler()
        host.completed.append((registration, credentials))

    async def handler_async(registration: Registration, credentials: Credentials) -> None:
        await asyncio.sleep(0)
        handler(registration, credentials)

    return handler_async if asynchronous else handler
