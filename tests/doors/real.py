"""Real servers in processes of their own, and raw sockets to talk to them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flow.kit import KEY, NOBODY_LISTENS, TOKEN

PREFIX = "/chatarchitect"
PATIENCE = 20.0  # seconds without a byte after which a test gives up
SERVERS = ("gunicorn", "uvicorn")


class Server:
    """One server with two processes, or as many as given. Each start takes another port."""

    def __init__(
        self, kind: str, folder: Path, storage: str, *, workers: int = 2, threads: int = 8, **variables: str
    ) -> None:
        self.kind = kind
        self.handled = folder / "handled"
        self._workers, self._threads = workers, threads
        self.variables = {
            "CA_EMBED_BASE_URL": NOBODY_LISTENS,
            "CA_EMBED_PARTNER_TOKEN": TOKEN,
            "CA_EMBED_PUBLIC_URL": f"http://127.0.0.1{PREFIX}",
            "CA_EMBED_STORAGE": storage,
            "CA_EMBED_ENCRYPTION_KEYS": KEY,
            "HANDLED": str(self.handled),
            **variables,
        }
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait for the first response."""
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listening.setblocking(False)  # two processes accept from it
        file = self._listening.fileno()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(self.kind, file, self._workers, self._threads),
                env=os.environ | self.variables,
                pass_fds=[file],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert self.ask(b"GET", "/health")[0] == 200, self.log

    def kill(self) -> None:
        """Kill all its processes at once, and close the connections that wait to be accepted."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None
            self._listening.close()

    @property
    def log(self) -> str:
        """The text that it has printed."""
        return self._log.read_text()

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(self._listening.getsockname(), timeout=PATIENCE)

    def ask(self, method: bytes, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
        """Make one request; return its status and its body."""
        with self.connect() as connection:
            connection.sendall(request(method, path, (headers or {}).items(), body))
            return answer(connection)

    def deliver(self, webhook: tuple[dict[str, str], bytes]) -> tuple[int, Any]:
        """Post a webhook; return the status and the body of the response."""
        status, body = self.ask(b"POST", "/webhook", *webhook)
        return status, json.loads(body)


def _command(kind: str, file: int, workers: int, threads: int) -> Sequence[str]:
    if kind == "gunicorn":
        options = f"--bind fd://{file} -k gthread --workers {workers} --threads {threads} --log-level error"
        return [sys.executable, "-m", "gunicorn", *options.split(), "tests.doors.served:wsgi_app"]
    if kind == "gevent":
        options = f"--bind fd://{file} -k gevent --workers {workers} --log-level error"
        return [sys.executable, "-m", "gunicorn", *options.split(), "tests.doors.served:wsgi_app"]
    options = f"--fd {file} --workers {workers} --log-level warning"
    return [sys.executable, "-m", "uvicorn", *options.split(), "tests.doors.served:asgi_app"]


@contextmanager
def running(kind: str, folder: Path, storage: str, **more: Any) -> Iterator[Server]:
    """Run a server on a storage in the folder. At the end, fail if it logged an exception."""
    server = Server(kind, folder, storage.format(folder), **more)
    try:
        server.start()
        yield server
        assert "Traceback" not in server.log
    finally:
        server.kill()


def request(
    method: bytes, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", **extra: str
) -> bytes:
    """Write a request that closes the connection; a Content-Length is added if no length is given."""
    pairs = [*headers, *extra.items()]
    named = {name.lower() for name, _ in pairs}
    if body and not {"content-length", "transfer-encoding"} & named:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"{name}: {value}" for name, value in [("Host", "crm.example"), ("Connection", "close"), *pairs]]
    head = f"{method.decode()} {PREFIX}{path} HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines)
    return head.encode("latin-1") + b"\r\n" + body


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read a response to the end of the connection. Status 0: there was no response."""
    received = b""
    try:
        while part := connection.recv(65_536):
            received += part
    except ConnectionError:  # what came before it counts
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


def answer_and_close(connection: socket.socket) -> tuple[int, bytes]:
    """Read a response, and close the connection."""
    with connection:
        return answer(connection)
