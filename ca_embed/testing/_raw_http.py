"""An HTTP client that sends exactly the given bytes, and returns exactly the received ones.

Client libraries clean requests up: they join repeated headers, correct lengths and drop odd headers.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any

TIMEOUT = 20.0  # seconds for one response

Pairs = Iterable[tuple[str, str | bytes]]


class NoResponse(Exception):
    """The server closed the connection without a response."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response. headers: in order, names in lower case. body: without its transfer encoding."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header, by its lower-case name."""
        return [value for key, value in self.headers if key == name]

    def json(self) -> dict[str, Any]:
        """Return the JSON object in the body, or an empty one if there is none."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}

    @property
    def code(self) -> str | None:
        """The `code` of a ca_embed error, or None."""
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
) -> HttpResponse:
    """Send one request to a port of this machine and return the response. Raises NoResponse.

    chunked: send the body in two chunks, without a Content-Length. announce: send this Content-Length
    instead of the body's length. hang_up: close the sending side after the body.
    """
    given = list(headers)
    if not any(name == "Host" for name, _ in given):
        given.insert(0, ("Host", f"127.0.0.1:{port}"))
    if chunked:
        given.append(("Transfer-Encoding", "chunked"))
    elif body or method == "POST":
        given.append(("Content-Length", str(len(body) if announce is None else announce)))
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        try:
            connection.sendall(_head(method, path, given) + (_chunked(body) if chunked else body))
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # the server refused before it read all, and its response may be there already
        return _received(connection, method)


def _head(method: str, path: str, headers: Pairs) -> bytes:
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Connection: close"]
    for name, value in headers:
        lines.append(name.encode() + b": " + (value.encode() if isinstance(value, str) else value))
    return b"\r\n".join([*lines, b"", b""])


def _chunked(body: bytes) -> bytes:
    halves = (body[: len(body) // 2], body[len(body) // 2 :])
    return b"".join(b"%x\r\n%s\r\n" % (len(half), half) for half in halves if half) + b"0\r\n\r\n"


def _received(connection: socket.socket, method: str) -> HttpResponse:
    response = HTTPResponse(connection, method=method)
    try:
        with closing(response):
            response.begin()
            # http.client reads no body here, but a wrong server may send one: tests must see it.
            bodyless = method == "HEAD" or response.status in (204, 304)
            body = response.fp.read() if bodyless else response.read()
    except (HTTPException, ConnectionError) as error:
        raise NoResponse(type(error).__name__) from None
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return HttpResponse(response.status, headers, body)
