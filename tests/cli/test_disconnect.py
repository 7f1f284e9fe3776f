"""`disconnect` and `export`."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_disconnect(operate: Run, world: Any) -> None:
    """The credentials are gone. The operator reads what was not done."""
    registration_id = world.completed("ada")
    ran = operate("disconnect", registration_id, "--yes")
    assert (ran.code, ran.out) == (0, "")
    assert "ChatArchitect was told nothing" in ran.err
    assert world.embed.credentials(registration_id) is None
    assert "disconnected" in operate("show", registration_id).out


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("\n", 1), ("no\n", 1)])
def test_disconnect_asks(
    operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    """On a terminal it asks first, and only a yes counts."""
    registration_id = world.completed("ada")
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    ran = operate("disconnect", registration_id)
    assert ran.code == code
    assert "for good?" in ran.err
    assert (world.embed.credentials(registration_id) is None) == (code == 0)


def test_disconnect_without_a_terminal(operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script must say that it means it."""
    registration_id = world.completed("ada")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    ran = operate("disconnect", registration_id)
    assert (ran.code, "--yes" in ran.err) == (2, True)
    assert world.embed.credentials(registration_id) is not None


def test_disconnect_of_what_is_unknown(operate: Run, world: Any) -> None:
    """A wrong id is an error, and creates nothing."""
    world.completed("ada")
    ran = operate("disconnect", "unknown", "--yes")
    assert ran.code == 1
    assert "not known here" in ran.err


def test_disconnect_in_the_wrong_place(
    operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a storage that is not there, it says so instead of creating one."""
    monkeypatch.setenv("CA_EMBED_STORAGE", f"sqlite:///{tmp_path}/elsewhere.db")
    for command in (["disconnect", "abc", "--yes"], ["replay", "abc"], ["export", "ada"]):
        assert operate(*command).code == 1
    assert not (tmp_path / "elsewhere.db").exists()


def test_export(operate: Run, world: Any) -> None:
    """It prints JSON, for a person or in one line, and no secret."""
    registration_id = world.completed("ada")
    world.completed("bob")
    ran, line = operate("export", "ada"), operate("export", "ada", "--json")
    assert (ran.code, ran.err, line.out.count("\n")) == (0, "", 1)
    (exported,) = json.loads(ran.out)["registrations"]
    assert exported["registration_id"] == registration_id
    assert json.loads(line.out)["registrations"] == [exported]


def test_export_of_what_is_unreadable(operate: Run, world: Any) -> None:
    """It exits 1, and names what is missing."""
    registration_id = world.completed("ada")
    world.embed.close()
    path = world.environment["CA_EMBED_STORAGE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        change = "UPDATE registrations SET document = substr(document, 2) WHERE registration_id = ?"
        connection.execute(change, [registration_id])
    ran = operate("export", "ada")
    assert (ran.code, json.loads(ran.out)["unreadable"]) == (1, [registration_id])


APP = """
import logging
from ca_embed import Embed
trail = []
embed = Embed.from_env(audit=trail.append)
"""


def test_audit(operate: Run, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --app, the application's audit trail hears of each action, and of who runs the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("getpass.getuser", lambda: "operator")
    (tmp_path / "crm_with_audit.py").write_text(APP)
    app = ("--app", "crm_with_audit:embed")
    registration_id = world.completed("ada")
    for command in (
        ["retry-webhook", registration_id],
        ["disconnect", registration_id, "--yes"],
        ["export", "ada"],
        ["rotate-keys"],
        ["purge", "--user", "ada", "--yes"],
    ):
        assert operate(*command, *app).code == 0
    from crm_with_audit import trail

    assert [entry.action for entry in trail] == [
        "webhook_retried",
        "disconnected",
        "exported",
        "keys_rotated",
        "forgotten",
    ]
    assert trail[0].registration_id == registration_id
    assert {entry.actor for entry in trail} == {"ca-embed by operator"}
