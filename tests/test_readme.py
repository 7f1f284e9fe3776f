"""The README's programs, run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from starlette.requests import Request
from starlette.testclient import TestClient

from tests.markdown import python_blocks

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = {
    "CA_EMBED_BASE_URL": "https://registration.example",
    "CA_EMBED_PARTNER_TOKEN": "a-fake-partner-token",
    "CA_EMBED_PUBLIC_URL": "https://crm.example/chatarchitect",
    "CA_EMBED_STORAGE": "file:{folder}",
    "CA_EMBED_ENCRYPTION_KEYS": "a-fake-encryption-key",
}


class Program:
    """A program of the README, run, with its names as attributes."""

    def __init__(self, heading: str) -> None:
        after = README.partition(f"**In {heading}**")[2]
        blocks = python_blocks(after)
        handler = next(block for block in blocks if "on_completed" in block)
        self.names: dict[str, Any] = {"__name__": __name__}
        exec(blocks[0], self.names)
        exec(handler, self.names)

    def __getattr__(self, name: str) -> Any:
        return self.names[name]


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Program]:
    """Run the program of the heading that the test asks for, with the README's settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value.format(folder=tmp_path))
        program = Program(request.param)
    yield program
    program.embed.close()


@pytest.mark.parametrize("program", ["Flask"], indirect=True)
def test_flask(program: Program) -> None:
    """The Flask program mounts the sub-app and knows the user of Flask's own session."""
    client = program.app.test_client()
    assert client.get("/chatarchitect/health").status_code == 200
    assert client.get("/chatarchitect/").status_code == 401

    with client.session_transaction() as session:
        session["user_id"] = "user_456"
    assert "<ca-whatsapp-registration" in client.get("/chatarchitect/").text


@pytest.mark.parametrize("program", ["FastAPI"], indirect=True)
def test_fastapi(program: Program) -> None:
    """The FastAPI program mounts the sub-app and knows the user of Starlette's session."""

    @program.app.get("/sign-in")
    def sign_in(request: Request) -> None:
        request.session["user_id"] = "user_456"

    with TestClient(program.app, base_url="https://crm.example") as client:
        assert client.get("/chatarchitect/health").status_code == 200
        assert client.get("/chatarchitect/").status_code == 401

        client.get("/sign-in")
        assert "<ca-whatsapp-registration" in client.get("/chatarchitect/").text


def test_settings_are_the_ones_that_are_read() -> None:
    """The README's table names exactly the variables that the programs need."""
    named = set(re.findall(r"^\| `(CA_EMBED_\w+)`", README, re.MULTILINE))

    assert named == set(SETTINGS)


# --- with what the README installs, and no more --------------------------------------------------


def installed_by(line: str) -> set[str]:
    """The distributions that a line of pip installs, with all that they need."""
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(word) for word in shlex.split(line)[2:]]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in ({"", *wanted.extras}) - {known for dist, known in found if dist == name}:
            found.add((name, extra))
            needed = [Requirement(text) for text in requires(wanted.name) or ()]
            waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def left_out(line: str) -> list[str]:
    """The modules here that a line of pip does not install."""
    there = installed_by(line)
    return [
        module
        for module, names in packages_distributions().items()
        if there.isdisjoint(canonicalize_name(name) for name in names)
    ]


# Python runs it at its start, before anything else.
REFUSE = """
    import sys

    LEFT_OUT = frozenset({modules!r})

    class Refuse:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.partition(".")[0] in LEFT_OUT:
                raise ModuleNotFoundError(f"No module named {{name!r}}: it is not installed", name=name)

    sys.meta_path.insert(0, Refuse)
"""


@pytest.fixture(params=["Flask", "FastAPI"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The program as main.py, served by the printed command, in an environment with what pip installs."""
    after = README.partition(f"**In {request.param}**")[2]
    blocks = python_blocks(after)
    handler = next(block for block in blocks if "on_completed" in block)
    (tmp_path / "main.py").write_text(f"{blocks[0]}\n{handler}", encoding="utf-8")
    install, serve = re.findall(r"^```\n(pip install .*)\n(.*)\n```$", after, re.MULTILINE)[0]
    (tmp_path / "sitecustomize.py").write_text(dedent(REFUSE.format(modules=left_out(install))))
    settings = {name: value.format(folder=tmp_path / "storage") for name, value in SETTINGS.items()}
    here = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "GUNICORN_CMD_ARGS": "--bind 127.0.0.1:0",  # the port that the system gives
        "UVICORN_PORT": "0",
    }
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            shlex.split(serve),
            cwd=tmp_path,
            env=os.environ | settings | here,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    yield process, log
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def test_server(server: tuple[subprocess.Popen[str], Path]) -> None:
    """The printed command serves the printed program, with no more than the printed line installs."""
    process, log = server
    deadline = time.monotonic() + 60
    while not (found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    with urlopen(f"{found[0]}/chatarchitect/live", timeout=30) as answer:
        assert (answer.status, answer.read()) == (200, b'{"status": "ok"}')
    with urlopen(f"{found[0]}/chatarchitect/health", timeout=30) as answer:
        assert answer.status == 200


def test_what_is_left_out() -> None:
    """A line of pip brings what its distributions need, and nothing else that is here."""
    flask = installed_by("pip install 'ca-embed[flask]' gunicorn")
    assert {"flask", "gunicorn", "itsdangerous", "ca-embed", "requests"} <= flask
    assert "itsdangerous" not in installed_by("pip install 'ca-embed[fastapi]' uvicorn")
    assert {"itsdangerous", "flask", "gunicorn"} <= set(left_out("pip install 'ca-embed[fastapi]' uvicorn"))
