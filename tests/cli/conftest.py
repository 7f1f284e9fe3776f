"""A host application with a storage and a sandbox, and the command line run against both."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ca_embed import Embed, Session, generate_key
from ca_embed._cli import main
from ca_embed.sandbox import Sandbox
from ca_embed.sandbox._server import Server

NEW_TOKEN, OLD_TOKEN = "fake-partner-token-new", "fake-partner-token-old"


@dataclass(frozen=True)
class Ran:
    """The exit code of a command, and its output."""

    code: int
    out: str
    err: str


@dataclass
class World:
    """A running sandbox, a served Embed, and the environment variables that describe both."""

    sandbox: Sandbox
    embed: Embed
    environment: dict[str, str]
    secrets: list[str] = field(default_factory=list)

    def session(self, user_id: str = "user_456") -> Session:
        session = self.embed.create_session(user_id)
        self.secrets.append(self.sandbox.secret_of(session.registration_id))
        return session

    def completed(self, user_id: str = "user_456", phone: str | None = None) -> str:
        """Complete and store a registration of the user. Return its id."""
        registration_id = self.session(user_id).registration_id
        (delivery,) = self.sandbox.complete(registration_id, phone=phone)
        assert delivery.status_code == 200
        return registration_id


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Restore the levels of the loggers after a test: a command sets them for the whole process."""
    loggers = [logging.getLogger(name) for name in ("ca_embed", "urllib3")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Run both sides. The host's clock is 60 seconds behind, so its sessions are old enough to be due."""
    with Sandbox(partner_tokens=[NEW_TOKEN, OLD_TOKEN]) as sandbox:
        server = Server("127.0.0.1", 0)
        key = generate_key()
        environment = {
            "CA_EMBED_BASE_URL": sandbox.base_url,
            "CA_EMBED_PARTNER_TOKEN": f"{NEW_TOKEN} {OLD_TOKEN}",
            "CA_EMBED_PUBLIC_URL": f"{server.base_url}/chatarchitect",
            "CA_EMBED_STORAGE": f"sqlite:///{tmp_path}/registrations.db",
            "CA_EMBED_ENCRYPTION_KEYS": key,
        }
        embed = Embed(
            base_url=sandbox.base_url,
            partner_token=[NEW_TOKEN, OLD_TOKEN],
            public_url=environment["CA_EMBED_PUBLIC_URL"],
            storage=environment["CA_EMBED_STORAGE"],
            encryption_keys=key,
            clock=lambda: time.time() - 60,
        )
        server.serve(_mounted(embed))
        yield World(sandbox, embed, environment, [NEW_TOKEN, OLD_TOKEN, key])
        server.close()
        embed.close()


def _mounted(embed: Embed) -> Callable[..., object]:
    from werkzeug.exceptions import NotFound
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(NotFound(), {"/chatarchitect": embed.wsgi})


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process."""

    def run_here(*arguments: str) -> Ran:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:
            code = end.code
        return Ran(code, *capsys.readouterr())

    return run_here


@pytest.fixture
def operate(world: World, run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command with the world's settings, and check that it prints no secret."""
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)

    def run_and_look(*arguments: str) -> Ran:
        ran = run(*arguments)
        assert not [place for place, secret in enumerate(world.secrets) if secret in ran.out + ran.err]
        return ran

    return run_and_look


@dataclass
class Program:
    """`python -m ca_embed` in its own process and process group."""

    process: subprocess.Popen[str]

    def line(self, beginning: str) -> str:
        """Read stdout up to a line that begins like this. Return the rest of the line."""
        for line in self.process.stdout:
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError(f"it ended without printing {beginning!r}: {self.process.stderr.read()}")

    def error_line(self, beginning: str) -> str:
        """Read stderr up to a line that begins like this. Return the rest of the line."""
        for line in self.process.stderr:
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError(f"it ended without {beginning!r} on stderr")

    def end(self, signal_number: int) -> Ran:
        """Send a signal, wait for the end, and check that no process is left."""
        self.process.send_signal(signal_number)
        out, err = self.process.communicate(timeout=30)
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return Ran(self.process.returncode, out, err)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start commands as processes. Kill those that still run after the test."""
    programs: list[Program] = []

    def start_one(*arguments: str, environment: dict[str, str] | None = None, prelude: str = "") -> Program:
        # A shell starts background jobs with SIGINT ignored, and child processes inherit that.
        restore = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{restore}\n{prelude}\nfrom ca_embed._cli import main\nraise SystemExit(main())"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | {"TMPDIR": str(tmp_path), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        programs.append(Program(process))
        return programs[-1]

    yield start_one
    for program in programs:
        program.process.kill()
        program.process.communicate()
