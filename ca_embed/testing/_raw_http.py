"""An HTTP client that sends exactly the bytes it is told to, and shows exactly what came back.

Client libraries tidy requests: they join repeated headers, count lengths and drop what they find odd.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

PATIENCE = 20.0  # seconds for one answer

Pairs = Iterable[tuple[str, str | bytes]]


class NoAnswer(Exception):
    """The server closed the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: headers in order, names in lower case; the body, without a transfer encoding."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header, by its lower-case name."""
        return [value for key, value in self.headers if key == name]

    def json(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object; anything else is an empty one."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def code(self) -> str | None:
        """The code of an error of ca_embed."""
        return self.json().get("code")


def send(
    port: int,
    method: str,
    path: str,
    headers: Pairs = (),
    body: bytes = b"",
    *,
    chunked: bool = False,
    announce: int | None = None,
    hang_up: bool = False,
) -> Answer:
    """Send one request to a port of this machine and return the answer. Raises NoAnswer.

    chunked: send the body in two chunks, without a Content-Length. announce: the Content-Length to
    claim, whatever the body's is. hang_up: send no more after the body, and say so.
    """
    given = list(headers)
    if not any(name == "Host" for name, _ in given):
        given.insert(0, ("Host", f"127.0.0.1:{port}"))
    if chunked:
        given.append(("Transfer-Encoding", "chunked"))
    elif body or method == "POST":
        given.append(("Content-Length", str(len(body) if announce is None else announce)))
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(_head(method, path, given) + (_chunked(body) if chunked else body))
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before all was sent: the answer may be there already
        return _received(connection, method)


def _head(method: str, path: str, headers: Pairs) -> bytes:
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Connection: close"]
    for name, value in headers:
        lines.append(name.encode() + b": " + (value.encode() if isinstance(value, str) else value))
    return b"\r\n".join([*lines, b"", b""])


def _chunked(body: bytes) -> bytes:
    halves = (body[: len(body) // 2], body[len(body) // 2 :])
    return b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves if half) + b"0\r\n\r\n"


def _received(connection: socket.socket, method: str) -> Answer:
    response = HTTPResponse(connection, method=method)
    try:
        with closing(response):
            response.begin()
            # Whatever follows the head of these is a body that should not be there.
            bodyless = method == "HEAD" or response.status in (204, 304)
            body = response.fp.read() if bodyless else response.read()
    except (HTTPException, ConnectionError) as error:
        raise NoAnswer(type(error).__name__) from None
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return Answer(response.status, headers, body)
