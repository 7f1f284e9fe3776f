"""`list` and `show`, and the `--app` that all such commands take."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_list(operate: Run, world: Any) -> None:
    """The table has one line per registration, of every user and status."""
    done, open_one = world.completed("ada", phone="421233221242"), world.session("bob").registration_id
    ran = operate("list")
    heading, *rows = ran.out.splitlines()

    assert (ran.code, ran.err) == (0, "")
    assert heading.split() == [
        "registration_id",
        "status",
        "user_id",
        "phone",
        "created_at",
        "completed_at",
        "furthest_step",
    ]
    assert {row.split()[0]: row.split()[1:4] for row in rows} == {
        done: ["completed", "ada", "421233221242"],
        open_one: ["started", "bob", "-"],
    }


@pytest.mark.parametrize(
    ("option", "value", "user"), [("--user", "bob", "bob"), ("--status", "completed", "ada")]
)
def test_list_a_part(operate: Run, world: Any, option: str, value: str, user: str) -> None:
    """The list can be limited to one user or one status."""
    world.completed("ada")
    world.session("bob")
    listed = [json.loads(line) for line in operate("list", option, value, "--json").out.splitlines()]

    assert [one["user_id"] for one in listed] == [user]


def test_list_of_nothing(operate: Run, world: Any) -> None:
    """An empty storage is listed as a heading alone, and with --json as no line."""
    world.embed.registrations()  # the first use creates the storage
    assert operate("list").out.count("\n") == 1
    assert operate("list", "--json").out == ""


def test_show(operate: Run, world: Any) -> None:
    """A registration is shown in full, except its secret."""
    registration_id = world.completed("ada")
    ran = operate("show", registration_id)
    shown = dict(line.split(maxsplit=1) for line in ran.out.splitlines())

    assert (ran.code, ran.err) == (0, "")
    assert (shown["registration_id"], shown["status"], shown["user_id"]) == (
        registration_id,
        "completed",
        "ada",
    )
    assert shown["app_id"] == world.sandbox.session(registration_id).app_id
    assert shown["app_secret"].startswith("sealed")


def test_show_json(operate: Run, world: Any) -> None:
    """With --json there is no field for the secret, and the handler runs are listed."""
    world.embed.on_completed(lambda registration, credentials: None, name="connect")
    shown = json.loads(operate("show", world.completed(), "--json").out)

    assert "app_secret" not in shown
    assert shown["handlers"] == [
        {"name": "connect", "state": "done", "attempts": 1, "next_at": None, "last_error": None}
    ]


def test_show_a_failed_handler(operate: Run, world: Any) -> None:
    """A failed handler is shown with the time when it is due again."""

    @world.embed.on_completed(name="connect")
    def connect(registration: object, credentials: object) -> None:
        raise RuntimeError

    ran = operate("show", world.completed())

    assert "handler connect  due at" in ran.out
    assert "after 1 failed" in ran.out


def test_show_all(operate: Run, world: Any) -> None:
    """Without an id all registrations are shown."""
    ids = {world.completed(), world.session().registration_id}

    assert {json.loads(line)["registration_id"] for line in operate("show", "--json").out.splitlines()} == ids
    assert all(registration_id in operate("show").out for registration_id in ids)


def test_show_an_unknown_one(operate: Run, world: Any) -> None:
    """An unknown registration exits with 1, a malformed id with 2."""
    world.embed.registrations()  # the first use creates the storage
    unknown, malformed = operate("show", "a" * 22), operate("show", "../x")

    assert (unknown.code, unknown.out, malformed.code) == (1, "", 2)
    assert "ca-embed list" in unknown.err


READING = (
    ("list",), ("list", "--json"), ("show",), ("show", "a" * 22), ("keys",), ("rotate-keys",),
    ("purge", "--expired-for", "0"), ("purge", "--user", "ada", "--yes"),
    ("purge", "--user", "ada", "--dry-run"),
)  # fmt: skip


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("form", ["sqlite:///{}/x.db", "file:{}/x.db"])
@pytest.mark.parametrize("app", [False, True], ids=["environment", "app"])
def test_reading_creates_no_storage(
    operate: Run, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *,
    command: tuple[str, ...], form: str, app: bool,
) -> None:  # fmt: skip
    """If there is no storage, the command says so and exits with 1. It creates no file and no folder."""
    monkeypatch.setenv("CA_EMBED_STORAGE", form.format(tmp_path))
    options = (
        ("--app", module("from ca_embed import Embed\nembed = Embed.from_env()\n") + ":embed") if app else ()
    )
    before = sorted(tmp_path.glob("*"))
    ran = operate(*command, *options)

    assert (ran.code, ran.out) == (1, "")
    assert f"{tmp_path}/x.db: there is no storage here" in ran.err
    assert [path for path in sorted(tmp_path.glob("*")) if path.name != "__pycache__"] == before


def test_reading_creates_no_table(operate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file and an empty database without our table are left as they are."""
    for name, statements in (("empty.db", ()), ("wal.db", ("PRAGMA journal_mode = WAL",))):
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
            for statement in statements:
                connection.execute(statement)
        (tmp_path / name).touch()
        before = (tmp_path / name).read_bytes()
        monkeypatch.setenv("CA_EMBED_STORAGE", f"sqlite:///{tmp_path}/{name}")

        assert (operate("list").code, (tmp_path / name).read_bytes()) == (1, before)


def test_times_have_one_form(operate: Run, world: Any) -> None:
    """Each command and the HTTP API print a time as ISO 8601 in UTC, with +00:00."""

    @world.embed.on_completed(name="connect")
    def connect(registration: object, credentials: object) -> None:
        raise RuntimeError

    registration_id = world.completed("ada")
    (registration,) = world.embed.registrations()
    for command in ("list", "show"):
        shown = json.loads(operate(command, "--json").out)
        for name in ("created_at", "expires_at", "completed_at"):
            assert shown[name] == getattr(registration, name).isoformat()
            assert shown[name].endswith("+00:00")
    assert shown["handlers"][0]["next_at"].endswith("+00:00")
    result = json.loads(operate("result", registration_id, "--json").out)
    assert result["completed_at"] == registration.completed_at.isoformat()
    session = json.loads(operate("create-session", "bob", "--json").out)
    assert (
        session["expires_at"] == world.embed.registration(session["registration_id"]).expires_at.isoformat()
    )


def test_wrong_key(operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of a missing key exits with 1, and the error names the key to add."""
    registration_id = world.completed()
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", "another-fake-encryption-key")
    ran = operate("show", registration_id)

    assert (ran.code, ran.out) == (1, "")
    assert "not among encryption_keys" in ran.err


def test_terminal_stays_safe(operate: Run, world: Any) -> None:
    """Control characters in ChatArchitect's texts do not reach the terminal."""
    registration_id = world.completed(phone="+42\x1b]0;gone\x07\n1")

    assert "\x1b" not in operate("list").out + operate("show", registration_id).out
    assert operate("list").out.count("\n") == 2


# --- --app ---------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write the host application's module into the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(source: str) -> str:
        (tmp_path / "fake_crm.py").write_text(source)
        return "fake_crm"

    yield write
    sys.modules.pop("fake_crm", None)


def test_app(operate: Run, world: Any, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """--app takes the host's own Embed, and its module's output does not mix with the data."""
    registration_id = world.completed()
    name = module(
        "from ca_embed import Embed\nprint('starting')\nclass Site:\n    embed = Embed.from_env()\n"
    )
    listed = operate("list", "--json", "--app", f"{name}:Site.embed")

    assert json.loads(listed.out)["registration_id"] == registration_id
    assert listed.err == "starting\n"
    for command in ("show", "result", "retry-webhook"):
        assert operate(command, registration_id, "--app", f"{name}:Site.embed").code == 0


@pytest.mark.parametrize(
    "app", ["", "fake_crm", "fake_crm:", ":embed", "fake_crm:nothing", "no_such_module:embed"]
)
def test_wrong_app(run: Run, module: Any, app: str) -> None:
    """An --app that names no Embed is wrong usage."""
    module("embed = 'not one'")
    ran = run("list", "--app", app)

    assert (ran.code, ran.out) == (2, "")
    assert "--app" in ran.err


def test_app_that_fails(run: Run, module: Any) -> None:
    """For a module that raises, the module and the error's type are printed, not its message."""
    ran = run("list", "--app", module("raise RuntimeError('fake-database-password')") + ":embed")

    assert ran.code == 2
    assert "RuntimeError in fake_crm" in ran.err
    assert "password" not in ran.err


# --- events --------------------------------------------------------------------------------------


@pytest.fixture(name="suspended")
def _suspended(world: Any) -> str:
    """A registration of ada with an event whose handler has failed. Return its id."""

    def fail(event: Any) -> None:
        raise ValueError

    world.embed.on_event("made_up.number.suspended", name="warn")(fail)
    registration_id: str = world.completed("ada")
    assert world.sandbox.send_event(registration_id, "made_up.number.suspended").status_code == 200
    return registration_id


def test_list_events(operate: Run, world: Any, suspended: str) -> None:
    """The table has one line per event, with how far its handlers are; a user's alone, if one is named."""
    heading, row = operate("list", "--events").out.splitlines()
    assert heading.split() == ["name", "registration_id", "received_at", "handlers"]
    assert row.split()[:2] == ["made_up.number.suspended", suspended]
    assert row.endswith("warn due")
    assert operate("list", "--events", "--failed", "--user", "ada").out.count("\n") == 2
    assert operate("list", "--events", "--user", "bob").out.count("\n") == 1
    listed = json.loads(operate("list", "--events", "--json").out)
    assert listed["payload"]["registration_id"] == suspended


def test_show_events(operate: Run, world: Any, suspended: str) -> None:
    """A registration is shown with its events."""
    assert "event 1 handler warn  due at " in operate("show", suspended).out
    (event,) = json.loads(operate("show", suspended, "--json").out)["events"]
    assert event["name"] == "made_up.number.suspended"
