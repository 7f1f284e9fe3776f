"""`copy` and `purge`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ca_embed import Embed
from ca_embed.storage import SQLiteStorage

Run = Callable[..., Any]


@pytest.fixture
def here(world: Any) -> str:
    """The storage URL of the world, with two completed registrations in it."""
    world.completed("ada")
    world.completed("bob")
    return world.environment["CA_EMBED_STORAGE"]


@pytest.fixture
def there(tmp_path: Path) -> str:
    """The URL of a storage of another kind, with nothing in it."""
    return f"file:{tmp_path}/target"


def spoil(url: str, **changes: Any) -> str:
    """Change the first record of a SQLite storage behind the application's back; return its id."""
    storage = SQLiteStorage(url.removeprefix("sqlite:///"))
    record = next(one for one in storage.list(limit=9) if not one.registration_id.startswith("~"))
    assert storage.save(replace(record, version=record.version + 1, **changes))
    storage.close()
    return record.registration_id


def counts(**fields: int) -> dict[str, int]:
    """Return what `copy --json` prints. Counts that are not given are 0."""
    names = ("written", "replaced", "removed", "present", "differing", "only_in_target", "unreadable")
    return dict.fromkeys(names, 0) | fields


def test_copy(operate: Run, world: Any, here: str, there: str) -> None:
    """All registrations arrive, credentials and all; a second copy finds them present."""
    first, second = operate("copy", here, there, "--json"), operate("copy", here, there)

    assert (first.code, first.err, second.code) == (0, "", 0)
    assert json.loads(first.out) == counts(written=2, equal=True)
    assert dict(line.split() for line in second.out.splitlines())["present"] == "2"
    moved = Embed.from_env(storage=there)
    assert {one.user_id for one in moved.registrations()} == {"ada", "bob"}
    for one in moved.registrations():
        assert moved.credentials(one.registration_id) == world.embed.credentials(one.registration_id)
    moved.close()


def test_copy_goes_on_where_it_was(operate: Run, world: Any, here: str, there: str) -> None:
    """What has come since is written at the next run, and what was there stays."""
    operate("copy", here, there)
    world.completed("eve")
    did = json.loads(operate("copy", here, there, "--json").out)

    assert (did["written"], did["present"]) == (1, 2)


def test_copy_while_the_application_runs(operate: Run, world: Any, here: str, there: str) -> None:
    """A later copy brings over what changed since, and says when both are equal."""
    operate("copy", here, there)
    keys = f"fake-encryption-key-newer {world.environment['CA_EMBED_ENCRYPTION_KEYS']}"
    newer = Embed.from_env(encryption_keys=keys.split())
    newer.rotate_keys()
    world.completed("eve")
    ran = operate("copy", here, there, "--json")

    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == counts(written=1, replaced=2, equal=True)
    moved = Embed.from_env(storage=there, encryption_keys=keys.split())
    assert {one.user_id for one in moved.registrations()} == {"ada", "bob", "eve"}
    moved.close()
    newer.close()


def test_copy_needs_no_settings(run: Run, here: str, there: str) -> None:
    """Records are copied sealed, so no key is needed."""
    assert run("copy", here, there).code == 0


def test_copy_of_what_differs(operate: Run, world: Any, here: str, there: str) -> None:
    """A record that differs in the target is left, and the exit code is 1."""
    operate("copy", here, there)
    keys = f"fake-encryption-key-newer {world.environment['CA_EMBED_ENCRYPTION_KEYS']}"
    newer = Embed.from_env(encryption_keys=keys.split(), storage=there)
    newer.rotate_keys()
    newer.close()
    ran = operate("copy", here, there, "--json")

    assert ran.code == 1
    assert json.loads(ran.out) == counts(differing=2, equal=False)
    assert "left as they are" in ran.err


def test_copy_of_what_is_broken(
    operate: Run, here: str, there: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that ca_embed has not sealed is logged and not copied, and the exit code is 1."""
    registration_id = spoil(here, document=b"overwritten")
    ran = operate("copy", here, there, "--json")

    assert ran.code == 1
    assert json.loads(ran.out) == counts(written=1, unreadable=1, equal=False)
    assert registration_id in caplog.text


def test_copy_of_nothing(run: Run, tmp_path: Path, there: str) -> None:
    """An empty source is no failure, but stderr says that it is empty."""
    empty = SQLiteStorage(tmp_path / "empty.db")
    empty.load("a first use creates the database")
    empty.close()
    ran = run("copy", f"sqlite:///{tmp_path}/empty.db", there)

    assert ran.code == 0
    assert "Check its URL." in ran.err


@pytest.mark.parametrize("form", ["sqlite:///{}/mistyped", "file:{}/mistyped"])
def test_copy_of_what_is_not_there(run: Run, tmp_path: Path, there: str, form: str) -> None:
    """A source that does not exist is wrong usage, and is not created."""
    ran = run("copy", form.format(tmp_path), there)

    assert (ran.code, ran.out) == (2, "")
    assert f"FROM: there is no {tmp_path}/mistyped" in ran.err
    assert not (tmp_path / "mistyped").exists()


def test_copy_by_variables(run: Run, here: str, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL may come from a variable, which hides its password from the list of processes."""
    monkeypatch.setenv("OLD_STORAGE", here)
    monkeypatch.setenv("NEW_STORAGE", there)

    assert json.loads(run("copy", "env:OLD_STORAGE", "env:NEW_STORAGE", "--json").out)["written"] == 2


def test_copy_by_what_is_no_variable(run: Run, here: str) -> None:
    """A URL after env: is wrong usage, and is not repeated: it may hold a password."""
    ran = run("copy", here, "env:redis://:fake-password@127.0.0.1/0")

    assert ran.code == 2
    assert "TO: after env: give the name of an environment variable" in ran.err
    assert "fake-password" not in ran.err


def test_copy_by_a_variable_that_is_not_set(run: Run, here: str) -> None:
    """A variable that is not set is wrong usage, and is named."""
    ran = run("copy", here, "env:NEW_STORAGE")

    assert ran.code == 2
    assert "TO: the environment variable NEW_STORAGE is not set" in ran.err


def test_copy_on_a_terminal(operate: Run, here: str, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar shows the progress, the total and the time left."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    assert f"Copying [{'#' * 15}{'-' * 15}] 50 %, 1 of 2, 0:00:0" in operate("copy", here, there).err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        ("weird://user:fake-password@host/db", "sqlite:///x.db", "FROM"),
        ("redis://127.0.0.1:1", "weird://user:fake-password@host/db", "TO"),
        ("redis://127.0.0.1:1", "", "TO"),
        ("redis://127.0.0.1:1", "memory:", "TO"),
        ("memory:", "sqlite:///x.db", "FROM"),
    ],
)
def test_copy_wrong_usage(run: Run, folder: Path, source: str, target: str, named: str) -> None:
    """A URL of no lasting storage is wrong usage. The error says which of the two, without its value."""
    ran = run("copy", source, target)

    assert (ran.code, ran.out) == (2, "")
    assert f"{named}: " in ran.err
    assert "fake-password" not in ran.err
    assert list(folder.iterdir()) == []


# --- purge -----------------------------------------------------------------------------------------


def left(world: Any) -> list[str]:
    """Return the users of the stored registrations."""
    return sorted(one.user_id for one in world.embed.registrations())


def test_purge_expired(operate: Run, world: Any) -> None:
    """Sessions that expired long ago are removed; open and completed ones stay."""
    world.completed("ada")
    world.session("bob")
    world.sandbox.knobs.expires_in = 0
    world.session("eve")
    too_early = operate("purge", "--expired-for", "1", "--json")
    ran = operate("purge", "--expired-for", "0", "--json")

    assert json.loads(too_early.out) == {"expired": 0, "dry_run": False}
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {"expired": 1, "dry_run": False}
    assert left(world) == ["ada", "bob"]


def test_purge_waits_for_so_many_days(operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAYS are days after the expiry."""
    expires_at = world.session("bob").expires_at
    for days, removed in ((6.9, 0), (7.1, 1)):
        with monkeypatch.context() as later:
            later.setattr("time.time", (expires_at + timedelta(days=days)).timestamp)
            did = json.loads(operate("purge", "--expired-for", "7", "--json").out)
        assert did["expired"] == removed


def test_purge_a_user(operate: Run, world: Any) -> None:
    """All registrations of the user are removed, and no others. Stderr says what remains elsewhere."""
    world.completed("ada")
    world.session("ada")
    world.completed("bob")
    ran = operate("purge", "--user", "ada", "--yes")

    assert ran.code == 0
    assert ran.out.split() == ["of_user", "2", "dry_run", "no"]
    assert "ChatArchitect" in ran.err
    assert left(world) == ["bob"]


@pytest.mark.parametrize(
    ("answer", "code", "remaining"),
    [("y\n", 0, []), ("YES\n", 0, []), ("n\n", 1, ["ada"]), ("\n", 1, ["ada"]), ("", 1, ["ada"])],
)
def test_purge_asks_on_a_terminal(
    operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch, *, answer: str, code: int, remaining: list[str]
) -> None:
    """Before a user is erased, the operator is asked. Only a yes erases."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    world.completed("ada")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ran = operate("purge", "--user", "ada")

    assert ran.code == code
    assert "Erase all registrations of user 'ada'? [y/N]" in ran.err
    assert left(world) == remaining


def test_purge_without_a_terminal(operate: Run, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is no one to ask: a script must give --yes."""
    world.completed("ada")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ran = operate("purge", "--user", "ada", "--expired-for", "0")

    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    assert left(world) == ["ada"]


def test_purge_dry_run(operate: Run, world: Any) -> None:
    """A dry run shows what would be removed, and removes nothing."""
    world.completed("ada")
    world.sandbox.knobs.expires_in = 0
    world.session("bob")
    ran = operate("purge", "--expired-for", "0", "--user", "ada", "--dry-run", "--json")

    assert json.loads(ran.out) == {"expired": 1, "of_user": 1, "dry_run": True}
    assert left(world) == ["ada", "bob"]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--dry-run",),
        ("--user", ""),
        ("--user", "a\nb"),
        ("--expired-for", "-1"),
        ("--expired-for", "1.5"),
        ("--expired-for", "99999"),
    ],
)
def test_purge_wrong_usage(operate: Run, world: Any, arguments: tuple[str, ...]) -> None:
    """Without a selection nothing is removed. An empty user id is wrong usage, and not every user."""
    world.completed("ada")
    ran = operate("purge", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert left(world) == ["ada"]
