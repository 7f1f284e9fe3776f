"""Behind the real nginx, which keeps the prefix of the application or strips it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doors.real import PATIENCE, Server, answer, request
from tests.flow.kit import delivery

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs the Debian package nginx-light")

# It listens on a socket in the folder, so that no port is taken.
CONFIGURATION = """
daemon off; worker_processes 1; error_log stderr; pid {folder}/pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen unix:{folder}/socket;
        proxy_set_header Host crm.example;
        proxy_set_header X-Forwarded-Prefix {prefix};
        location /app/ {{ proxy_pass http://127.0.0.1:{port}{rest}; }}
    }}
}}
"""
# What follows proxy_pass's address for each way; nginx puts it in the place of the location's "/app/".
REST = {"kept": "", "stripped": "/", "stripped twice": "/"}


class Proxied(Server):
    """A server of ours, and the nginx before it."""

    def __init__(self, application: str, folder: Path, *options: str) -> None:
        kind = "gunicorn" if application.startswith("wsgi") else "uvicorn"
        super().__init__(
            kind,
            folder,
            f"sqlite:///{folder}/r.db",
            CA_EMBED_PUBLIC_URL="https://crm.example/app/chatarchitect",
        )
        self._application, self._options = application, options

    @contextmanager
    def behind(self, way: str, folder: Path) -> Iterator[Path]:
        """Start both. Yield the path of nginx's socket."""
        assert NGINX is not None
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)  # a process must not wait in accept
            port, file = listening.getsockname()[1], listening.fileno()
            serving = self._start(self._command(file), file)
            listening.close()  # so that nginx knows if the server has ended
            location = "/app/chatarchitect/" if way == "stripped twice" else "/app/"
            text = CONFIGURATION.replace("location /app/", f"location {location}")
            prefix = '""' if way == "kept" else location.rstrip("/")
            (folder / "nginx.conf").write_text(
                text.format(folder=folder, port=port, rest=REST[way], prefix=prefix)
            )
            proxy = self._start([NGINX, "-c", f"{folder}/nginx.conf", "-p", str(folder)])
            try:
                yield folder / "socket"
            finally:
                for process in (proxy, serving):
                    process.send_signal(signal.SIGTERM)
                    process.wait(30)

    def _command(self, file: int) -> list[str]:
        target = f"tests.doors.proxied:{self._application}"
        if self.kind == "gunicorn":
            options = ["--bind", f"fd://{file}", "-k", "gthread", "--threads", "4", "--log-level", "error"]
        else:
            options = ["--fd", str(file), "--log-level", "warning"]
        return [sys.executable, "-m", self.kind, *options, *self._options, target]

    def _start(self, command: list[str], *files: int) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, env=os.environ | self.variables, pass_fds=files, stdout=log, stderr=log
            )


def ask(path: Path, message: bytes) -> tuple[int, bytes]:
    """Send a request to nginx. Wait until nginx and the server are up."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(str(path))
                connection.sendall(message)
                status, body = answer(connection)
            except (FileNotFoundError, ConnectionRefusedError, TimeoutError):
                status = 0
        if status not in (0, 502) or time.monotonic() > deadline:
            return status, body if status else b""
        time.sleep(0.05)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as the path of a socket must be."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


WORKING = [
    ("wsgi_default", "kept"),
    ("wsgi_told", "kept"),
    ("wsgi_told", "stripped"),
    ("wsgi_rest", "stripped"),
    ("wsgi_alone", "kept"),
    ("wsgi_alone", "stripped"),
    ("wsgi_alone", "stripped twice"),
    ("wsgi_flask", "stripped"),
    ("wsgi_flask_default", "kept"),
    ("asgi_fastapi", "stripped"),
    ("asgi_fastapi_default", "kept"),
    ("asgi_default", "kept"),
    ("asgi_default", "stripped", "--root-path", "/app"),
    ("asgi_rest", "stripped"),
    ("asgi_rest", "stripped", "--root-path", "/app"),
    ("asgi_alone", "kept"),
    ("asgi_alone", "stripped"),
    ("asgi_alone", "stripped", "--root-path", "/app"),
    ("asgi_alone", "stripped twice"),
]


@pytest.mark.parametrize("case", WORKING, ids=" ".join)
def test_behind_nginx(case: tuple[str, ...], folder: Path) -> None:
    """A registration's requests arrive below the mount, whether nginx keeps or strips the prefix."""
    application, way, *options = case
    prefix = "/app/chatarchitect"
    server = Proxied(application, folder, *options)
    with server.behind(way, folder) as path:
        live = request(b"GET", "/live").replace(b"/chatarchitect", prefix.encode(), 1)
        assert ask(path, live) == (200, b'{"status": "ok"}'), server.log
        headers, body = delivery()
        webhook = request(b"POST", "/webhook", headers.items(), body)
        status, answered = ask(path, webhook.replace(b"/chatarchitect", prefix.encode(), 1))
        assert (status, json.loads(answered)) == (200, {"status": "accepted"}), server.log
        page = request(b"GET", "/").replace(b"/chatarchitect", prefix.encode(), 1)
        status, html = ask(path, page)
        assert status == 200
        assert f'src="{prefix}/ca-embed.'.encode() in html
