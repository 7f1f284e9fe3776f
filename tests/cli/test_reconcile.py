"""`reconcile`."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
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
        "    ran.append(registration.registration_id)\n    print('a line that a handler prints')\n"
    )
    registration_id = lost(world)
    report = json.loads(operate("reconcile", "--json", "--app", "fake_shop:embed").out)

    assert report["handlers_done"] == 1
    assert sys.modules.pop("fake_shop").ran == [registration_id]


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module with an Embed in all the places where hosts keep one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "fake_crm.py").write_text(CRM)
    yield
    sys.modules.pop("fake_crm", None)


CRM = """
from types import SimpleNamespace
from flask import Flask, current_app
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from ca_embed import Embed
from ca_embed.adapters.flask import blueprint

print("a line that the host prints")

def build():
    embed = Embed.from_env()
    @embed.on_completed(name="connect")
    def connect(registration, credentials):
        ran.append(registration.registration_id)
    return embed

def create_app(name="crm", *, embeds=1):
    app = Flask(name)
    for number in range(embeds):
        app.register_blueprint(blueprint(build(), f"whatsapp{number}"), url_prefix=f"/whatsapp{number}")
    return app

async def create_later():
    return create_app()

def fail():
    raise RuntimeError("fake-secret-of-the-host")

ran = []
embed = build()
place = SimpleNamespace(inner=SimpleNamespace(embed=embed))
app = create_app()
wrapped = ProxyFix(app)
mounted = DispatcherMiddleware(NotFound(), {"/chatarchitect": embed.wsgi})
empty = Flask("empty")
other = SimpleNamespace()
"""


@pytest.mark.parametrize(
    "named",
    [
        "embed", "place.inner.embed", "app", "wrapped", "mounted", "create_app()", "create_app('shop')",
        "create_app(name='shop')", "create_later()", "build()", "embed.wsgi", "embed.asgi",
    ],
)  # fmt: skip
def test_app(operate: Run, world: Any, crm: None, named: str) -> None:
    """--app takes an Embed, an application with one in it, a dotted path and a factory."""
    registration_id = lost(world)
    report = json.loads(operate("reconcile", "--json", "--app", f"fake_crm:{named}").out)

    assert report["handlers_done"] == 1
    assert sys.modules["fake_crm"].ran == [registration_id]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("fake_crm", "crm.whatsapp:embed"),
        ("fake_crm:nothing", "fake_crm has no 'nothing'"),
        ("fake_crm:place.nothing", "a SimpleNamespace has no 'nothing'"),
        ("fake_crm:empty", "app.register_blueprint(ca_embed.adapters.flask.blueprint(embed))"),
        ("fake_crm:other", "mount embed.wsgi, embed.asgi or an adapter"),
        ("fake_crm:create_app", "call it: fake_crm:create_app()"),
        ("fake_crm:embed()", "embed cannot be called"),
        ("fake_crm:create_app(embeds=2)", "several Embeds"),
        ("fake_crm:create_app(ran)", "plain values"),
        ("fake_crm:ran[0]", "plain values"),
        ("fake_crm:create_app(", "plain values"),
        ("fake_crm:fail()", "RuntimeError in fail()"),
        ("no_such_module_here:embed", "no module 'no_such_module_here'"),
    ],
)
def test_wrong_app(operate: Run, crm: None, named: str, said: str) -> None:
    """A wrong --app is wrong usage. The error says what to write, and quotes nothing of the host's."""
    ran = operate("reconcile", "--app", named)

    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "fake-secret" not in ran.err


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
