"""One client for both doors. What it sends is raw, and what comes back has passed strict checks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote
from wsgiref.validate import validator

import webtest
from asgiref.testing import ApplicationCommunicator

from tests.doors.described import check_described

T = TypeVar("T")
Headers = Sequence[tuple[str, str]]

UNBODIED = (204, 304)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. Header names are in lower case and occur once."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of an error. Its shape is checked first."""
        fields = self.json
        assert fields["status"] == "error"
        assert set(fields) == {"status", "code", "message"}
        assert isinstance(fields["message"], str)
        assert fields["message"]
        return str(fields["code"])


class Client:
    """The requests that a test makes at a door."""

    def request(
        self, method: str, path: str, *, headers: Headers | dict[str, str] = (), body: bytes = b""
    ) -> Answer:
        raise NotImplementedError

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=_named(headers))

    def post(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        return self.request("POST", path, headers=_named(headers), body=body)

    def deliver(self, webhook: tuple[dict[str, str], bytes]) -> Answer:
        """Post a webhook as the sandbox makes it."""
        return self.deliver_at("", webhook)

    def deliver_at(self, prefix: str, webhook: tuple[dict[str, str], bytes]) -> Answer:
        """Return a client of the same door, mounted below a prefix."""
        headers, body = webhook
        return self.request("POST", f"{prefix}/webhook", headers=headers, body=body)

    def close(self) -> None:
        """Release what the client holds."""


class _RawResponse(webtest.TestResponse):
    """A response whose body stays as it was sent. WebTest would decompress it."""

    def decode_content(self) -> None:
        """Leave the body alone."""


class _RawRequest(webtest.TestRequest):
    ResponseClass = _RawResponse


class WsgiClient(Client):
    """Drives a WSGI application under wsgiref's validator and WebTest's lint.

    lint=False is for requests that a tidy server would not let through.
    """

    def __init__(self, app: Any, *, lint: bool = True, **environ: Any) -> None:
        self._app = webtest.TestApp(validator(app) if lint else app, lint=lint)
        self._environ = environ

    def request(
        self, method: str, path: str, *, headers: Headers | dict[str, str] = (), body: bytes = b""
    ) -> Answer:
        request = _RawRequest.blank(quote(path), method=method, environ=dict(self._environ))
        request.environ.pop("HTTP_HOST", None)
        if body or method == "POST":
            request.body = body
        for name, value in _joined(_pairs(headers)):
            request.environ[_environ_key(name)] = value
        response = self._app.do_request(request, status="*", expect_errors=True)
        return checked(response.status_int, response.headerlist, response.body, method)


class AsgiClient(Client):
    """Drives an ASGI application on one event loop, and checks every message."""

    def __init__(self, app: Any, **scope: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self._app = app
        self._scope = scope

    def request(
        self, method: str, path: str, *, headers: Headers | dict[str, str] = (), body: bytes = b""
    ) -> Answer:
        pairs = _pairs(headers)
        if (body or method == "POST") and not any(
            name.lower() in ("content-length", "transfer-encoding") for name, _ in pairs
        ):
            pairs.append(("Content-Length", str(len(body))))
        messages = self.exchange(method, path, pairs, [{"type": "http.request", "body": body}])
        return answer_of(messages, method)

    def exchange(
        self, method: str, path: str, headers: Headers = (), incoming: Iterable[dict[str, Any]] = ()
    ) -> list[Any]:
        """Give the application these messages, and return those that it sent."""
        scope = http_scope(method, path, headers, **self._scope)
        return self.run(_exchange(self._app, scope, list(incoming)))

    async def ask(
        self, method: str, path: str, headers: Headers | dict[str, str] = (), body: bytes = b""
    ) -> Answer:
        """Make one request, beside others on the event loop."""
        scope = http_scope(method, path, _pairs(headers), **self._scope)
        return answer_of(await _exchange(self._app, scope, [{"type": "http.request", "body": body}]), method)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the event loop of all requests. To the library it is the host's own loop."""
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()


async def _exchange(app: Any, scope: dict[str, Any], incoming: list[dict[str, Any]]) -> list[Any]:
    communicator = ApplicationCommunicator(app, scope)
    for message in incoming:
        await communicator.send_input(message)
    await communicator.wait(timeout=60)
    sent = []
    while not communicator.output_queue.empty():
        sent.append(communicator.output_queue.get_nowait())
    return sent


def http_scope(method: str, path: str, headers: Headers = (), **more: Any) -> dict[str, Any]:
    """Return a scope as a server gives it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path, errors="replace").encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        **more,
    }


def answer_of(messages: list[Any], method: str) -> Answer:
    """Check the messages of one response against the specification, and return the response."""
    start, *bodies = messages
    assert start["type"] == "http.response.start"
    assert type(start["status"]) is int
    for name, value in start["headers"]:
        assert type(name) is bytes
        assert type(value) is bytes
        assert name == name.lower()
        assert b"\n" not in value
        assert b"\r" not in value
    assert bodies
    for message in bodies:
        assert message["type"] == "http.response.body"
        assert type(message.get("body", b"")) is bytes
    assert [message.get("more_body", False) for message in bodies] == [True] * (len(bodies) - 1) + [False]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
    return checked(start["status"], headers, b"".join(message.get("body", b"") for message in bodies), method)


def checked(status: int, headers: Iterable[tuple[str, str]], body: bytes, method: str) -> Answer:
    """Check the rules of HTTP for every response, which neither validator checks."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = dict(pairs)
    assert len(named) == len(pairs), "a header occurs twice"
    assert not {"connection", "transfer-encoding", "keep-alive", "set-cookie"} & set(named)
    if status in UNBODIED:
        assert body == b""
        assert "content-length" not in named
    elif method == "HEAD":
        assert body == b""
        assert int(named["content-length"]) > 0
    else:
        assert int(named["content-length"]) == len(body)
    return Answer(status, named, body)


def _named(headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in headers.items()]


def _pairs(headers: Headers | dict[str, str]) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, dict) else headers)


def _joined(pairs: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Join repeated headers, as WSGI servers do."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name.lower(), []).append(value)
    return ((name, ",".join(several)) for name, several in values.items())


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


class WsgiDoor(WsgiClient):
    """The WSGI door of an Embed. Each response is held to the OpenAPI document."""

    def request(
        self, method: str, path: str, *, headers: Headers | dict[str, str] = (), body: bytes = b""
    ) -> Answer:
        return described(method, path, super().request(method, path, headers=headers, body=body))


class AsgiDoor(AsgiClient):
    """The ASGI door of an Embed. Each response is held to the OpenAPI document."""

    def request(
        self, method: str, path: str, *, headers: Headers | dict[str, str] = (), body: bytes = b""
    ) -> Answer:
        return described(method, path, super().request(method, path, headers=headers, body=body))


def described(method: str, path: str, answer: Answer) -> Answer:
    """Return the response if the OpenAPI document has it."""
    check_described(method, path, answer.status, answer.headers, answer.body)
    return answer


DOORS: dict[str, Callable[[Any], Client]] = {
    "wsgi": lambda embed: WsgiDoor(embed.wsgi),
    "asgi": lambda embed: AsgiDoor(embed.asgi),
}
