"""Each example runs with one command, and a registration succeeds in it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from pathlib import Path

import pytest
import requests

from ca_embed.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[2] / "examples"
APPS = sorted(path.name for path in EXAMPLES.glob("*_app.py"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Return a fake ChatArchitect for all tests."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.mark.parametrize("example", APPS)
def test_example(example: str, sandbox: Sandbox) -> None:
    """A user signs in and registers a number, and the page shows it."""
    url = f"http://127.0.0.1:{_free_port()}"
    environment = {
        "CA_EMBED_BASE_URL": sandbox.base_url,
        "CA_EMBED_PARTNER_TOKEN": sandbox.partner_token,
        "CA_EMBED_PUBLIC_URL": f"{url}/chatarchitect",
        "CA_EMBED_ENCRYPTION_KEYS": "fake-encryption-key-of-a-test",
        "CA_EMBED_STORAGE": "memory:",
    }
    with running(example, url, environment), requests.Session() as browser:
        login_form = browser.get(url).text
        home = browser.post(f"{url}/login", {"name": "Ada", **_hidden_fields(login_form)}).text
        assert "Hello Ada" in home
        opened = browser.post(f"{url}/chatarchitect/sessions", headers=_csrf_header(home))
        assert opened.status_code == 201, opened.text
        sandbox.complete(opened.json()["registration_id"], phone="421900000001")
        assert "421900000001 is completed" in browser.get(url).text
        assert browser.get(f"{url}/chatarchitect/").status_code == 200
        assert requests.get(f"{url}/chatarchitect/", timeout=20).status_code == 401


def test_example_with_its_own_sandbox() -> None:
    """Without settings, an example starts a sandbox and prints the URL to open."""
    url = f"http://127.0.0.1:{_free_port()}"
    with running("flask_app.py", url, {}) as process, requests.Session() as browser:
        browser.post(f"{url}/login", {"name": "Ada"})
        assert browser.post(f"{url}/chatarchitect/sessions").status_code == 201
        assert process.stdout is not None
        assert process.stdout.readline() == f"Open {url}/\n"


@contextmanager
def running(example: str, url: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start an example, wait until it answers, and end it when the context ends."""
    port = url.rpartition(":")[2]
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / example)],
        env={**os.environ, "PORT": port, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            _wait_for(int(port), process)
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"The example does not answer:\n{process.communicate()[0]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _hidden_fields(form: str) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"/?>', form)
    return {name: unescape(value) for name, value in fields}


def _csrf_header(page: str) -> dict[str, str]:
    found = re.search(r'csrf-header="([^"]*)" csrf-token="([^"]*)"', page)
    return {unescape(found[1]): unescape(found[2])} if found else {}
