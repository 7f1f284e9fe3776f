"""`generate-key`, `keys`, `rotate-keys`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ca_embed import generate_key
from ca_embed._vault.keyring import Keyring
from ca_embed.storage import SQLiteStorage
from ca_embed.storage._base import SealedRecord

Run = Callable[..., Any]


def test_prints_a_key(run: Run) -> None:
    """Stdout has only the key. It is new each time, and a keyring accepts it."""
    first, second = run("generate-key"), run("generate-key")

    assert first.code == 0
    assert first.out.count("\n") == 1
    assert first.out != second.out
    assert len(Keyring([first.out.strip(), second.out.strip()]).key_ids) == 2


def test_generate_says_what_to_do(run: Run) -> None:
    """Stderr says where to put the key, the order of a change, and does not show it."""
    ran = run("generate-key")

    assert ran.err.index("put it last") < ran.err.index("put it first") < ran.err.index("rotate-keys")
    assert "CA_EMBED_ENCRYPTION_KEYS" in ran.err
    assert ran.out.strip() not in ran.err


def test_json(run: Run) -> None:
    """With --json the output is one JSON document."""
    assert len(json.loads(run("generate-key", "--json").out)["encryption_key"]) > 40


# --- keys ------------------------------------------------------------------------------------------


@pytest.fixture
def newer(world: Any, operate: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """Complete two registrations, then put a new key first. Return its id."""
    world.completed("ada")
    world.completed("bob")
    key, old = generate_key(), world.environment["CA_EMBED_ENCRYPTION_KEYS"]
    world.secrets.append(key)
    world.environment["CA_EMBED_ENCRYPTION_KEYS"] = f"{key} {old}"
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", f"{key} {old}")
    return Keyring([key]).key_ids[0]


def add_record(world: Any, registration_id: str, document: bytes) -> None:
    """Store a record directly, without the application."""
    storage = SQLiteStorage(world.environment["CA_EMBED_STORAGE"].removeprefix("sqlite:///"))
    assert storage.save(SealedRecord(registration_id, 1, None, None, document))
    storage.close()


def usage(operate: Run) -> list[dict[str, Any]]:
    """Return what `keys --json` prints."""
    return [json.loads(line) for line in operate("keys", "--json").out.splitlines()]


def test_keys(operate: Run, newer: str) -> None:
    """Each key is shown by id, in order, with its number of records."""
    ran = operate("keys")
    heading, first, second = ran.out.splitlines()

    assert (ran.code, ran.err) == (0, "")
    assert heading.split() == ["key_id", "records", "meaning"]
    assert first.split(maxsplit=2) == [newer, "0", "seals new records"]
    assert second.split(maxsplit=2)[1] == "2"
    assert "rotate-keys" in second


def test_a_key_that_may_go(operate: Run, newer: str) -> None:
    """After a rotation the old key may go, and stderr says what to check first."""
    operate("rotate-keys")
    first, second = usage(operate)

    assert (first["records"], first["seals"], first["may_go"]) == (2, True, False)
    assert (second["records"], second["seals"], second["may_go"], second["place"]) == (0, False, True, 1)
    assert "Backups" in operate("keys").err


def test_a_key_without_records_that_may_not_go_yet(operate: Run, world: Any, newer: str) -> None:
    """Before the rotation the storage still takes the old key for one in use, also without records."""
    for registration in world.embed.registrations():
        record = world.embed._core.ledger._storage.load(registration.registration_id)
        world.embed._core.ledger.delete(record)
    assert "run `ca-embed rotate-keys`, then it may go" in operate("keys").out
    assert [one["may_go"] for one in usage(operate)] == [False, False]
    operate("rotate-keys")
    assert [one["may_go"] for one in usage(operate)] == [False, True]


def test_a_key_that_was_just_added(
    operate: Run, world: Any, newer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first step of a change the new key is last: it is not taken for an old one."""
    new, old = world.environment["CA_EMBED_ENCRYPTION_KEYS"].split()
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", f"{old} {new}")
    ran = operate("keys")
    assert "a new key may be put first" in ran.out.splitlines()[2]
    assert "every running process has it" in ran.err


def test_a_key_that_went_too_early(operate: Run, world: Any) -> None:
    """Records of an unknown key, and rows of another program, are counted apart."""
    world.completed()
    lost = Keyring(["fake-encryption-key-that-got-lost"])
    add_record(world, "lost", lost.seal(b"{}", registration_id="lost", field="document"))
    add_record(world, "alien", b"not sealed at all")
    found = {one["key_id"]: (one["records"], one["place"], one["may_go"]) for one in usage(operate)}

    assert found.pop(lost.key_ids[0]) == (1, None, False)
    assert found.pop("foreign") == (1, None, False)
    assert list(found.values()) == [(1, 0, False)]
    assert "add it again" in operate("keys").out


# --- rotate-keys -----------------------------------------------------------------------------------


def test_rotate(operate: Run, world: Any, newer: str) -> None:
    """All records are re-sealed under the first key; a second run changes nothing."""
    first, second = operate("rotate-keys", "--json"), operate("rotate-keys")

    assert (first.code, first.err) == (0, "")
    assert json.loads(first.out) == {"resealed": 2, "current": 0, "unreadable": 0, "dry_run": False}
    assert second.out.split() == ["resealed", "0", "current", "2", "unreadable", "0", "dry_run", "no"]
    assert usage(operate)[0]["records"] == 2


def test_rotate_dry_run(operate: Run, newer: str) -> None:
    """A dry run shows what would be done, and changes nothing."""
    did = json.loads(operate("rotate-keys", "--dry-run", "--json").out)

    assert did == {"resealed": 2, "current": 0, "unreadable": 0, "dry_run": True}
    assert [one["records"] for one in usage(operate)] == [0, 2]


def test_rotate_past_what_is_unreadable(
    operate: Run, world: Any, newer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A record of a lost key is logged and left, the others are re-sealed, and the exit code is 1."""
    lost = Keyring(["fake-encryption-key-that-got-lost"])
    add_record(world, "lost", lost.seal(b"{}", registration_id="lost", field="document"))
    ran = operate("rotate-keys", "--json")

    assert ran.code == 1
    assert json.loads(ran.out) == {"resealed": 2, "current": 0, "unreadable": 1, "dry_run": False}
    assert "'lost'" in caplog.text
    assert "ca-embed keys" in ran.err


def test_rotate_on_a_terminal(operate: Run, newer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a progress bar, which is removed at the end."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = operate("rotate-keys")

    assert f"Rotating [{'#' * 15}{'-' * 15}] 50 %, 1 of 2, 0:00:0" in ran.err
    assert ran.err.endswith("\r\x1b[K")
    assert "\x1b" not in ran.out


def test_rotate_with_the_hosts_own_embed(
    operate: Run, newer: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --app the keys are those of the host's own Embed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "fake_vault.py").write_text("from ca_embed import Embed\nembed = Embed.from_env()\n")
    did = json.loads(operate("rotate-keys", "--json", "--app", "fake_vault:embed").out)
    sys.modules.pop("fake_vault")

    assert did["resealed"] == 2
    assert usage(operate)[0]["key_id"] == newer
