"""`reconcile`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def lost(world: Any) -> str:
    """Complete a registration without its webhook. Return its id."""
    registration_id = world.session().registration_id
    world.sandbox.complete(registration_id, deliver=False)
    return registration_id


def test_finishes_what_was_lost(operate: Run, world: Any) -> None:
    """A completion whose webhook was lost is fetched and stored; the next pass has nothing to do."""
    registration_id = lost(world)
    first, second = operate("reconcile", "--json"), operate("reconcile", "--json")

    assert (first.code, second.code) == (0, 0)
    assert {name: count for name, count in json.loads(first.out).items() if count} == {
        "asked": 1,
        "completed": 1,
    }
    assert not any(json.loads(second.out).values())
    assert world.embed.credentials(registration_id) is not None


def test_report_for_people(operate: Run, world: Any) -> None:
    """Without --json there is one line per count. Without --app, stderr says that handlers do not run."""
    lost(world)
    ran = operate("reconcile")

    assert dict(line.split() for line in ran.out.splitlines())["completed"] == "1"
    assert "--app" in ran.err


def test_runs_the_hosts_handlers(
    operate: Run, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --app the host's own handlers run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "fake_shop.py").write_text(
        "from ca_embed import Embed\nembed = Embed.from_env()\nran = []\n"
        "@embed.on_completed\ndef connect(registration, credentials):\n"
        "    ran.append(registration.registration_id)\n"
    )
    registration_id = lost(world)
    report = json.loads(operate("reconcile", "--json", "--app", "fake_shop:embed").out)

    assert report["handlers_done"] == 1
    assert sys.modules.pop("fake_shop").ran == [registration_id]


def test_what_cannot_be_done(operate: Run, world: Any) -> None:
    """A pass that cannot finish something due counts it, and exits with 1."""
    lost(world)
    world.sandbox.knobs.api_status = 500
    ran = operate("reconcile", "--json")

    assert ran.code == 1
    assert json.loads(ran.out)["unanswered"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_every(start: Run, world: Any, number: int) -> None:
    """With --every there is one report per pass, until a signal ends it cleanly."""
    program = start("reconcile", "--every", "0.05", "--json", environment=world.environment)
    passes = [json.loads(program.line("")) for _ in range(3)]
    ended = program.end(number)

    assert [report["unreadable"] for report in passes] == [0, 0, 0]
    assert ended.code == 0
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("pause", ["0", "-1", "nan", "soon", "1e9"])
def test_wrong_pause(run: Run, pause: str) -> None:
    """An invalid pause is wrong usage."""
    assert run("reconcile", "--every", pause).code == 2
