"""The README's programs, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from tests.markdown import python_blocks

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
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
