"""`demo`: its host application, --once, and its end."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from ca_embed._cli.demo_once import run_once
from ca_embed._cli.demo_sites import running

Run = Callable[..., Any]

SANDBOX_SECRET = re.compile(r"cas_[\w-]{20,}|sandbox-partner-token")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the demo create its folder in this one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("storage", [None, "file:{}/kept", "sqlite:///{}/kept.db", "memory:"])
def test_once(start: Run, tmp_path: Path, storage: str | None) -> None:
    """With any storage, --once finishes a registration, and prints each step but no secret."""
    arguments = ("--storage", storage.format(tmp_path)) if storage else ()
    program = start("demo", "--once", *arguments)
    out, err = program.process.communicate(timeout=60)

    assert program.process.returncode == 0, err
    assert [line.partition(".")[0] for line in out.splitlines()[:-1]] == list("12345678")
    assert '{"status": "accepted"}' in out
    assert '{"status": "duplicate"}' in out
    assert not SANDBOX_SECRET.search(out + err)


def test_once_can_be_looked_at_afterwards(start: Run, tmp_path: Path) -> None:
    """The printed command shows the registration, and only the owner may read its settings file."""
    program = start("demo", "--once")
    out, err = program.process.communicate(timeout=60)
    registration_id = re.search(r"session (\w+),", out)[1]
    (env_file,) = tmp_path.glob("ca-embed-demo-*/demo.env")

    assert str(env_file) in err
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(env_file.parent.stat().st_mode) == 0o700
    command = err.splitlines()[-1].strip()
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert registration_id in shown.stdout
    assert "completed" in shown.stdout


def test_once_on_keys_of_your_own(start: Run, tmp_path: Path) -> None:
    """With a given storage, the keys of the environment seal, and the settings file does not have them."""
    key = "fake-encryption-key-of-your-own"
    program = start(
        "demo", "--once", "--storage", f"file:{tmp_path}/kept", environment={"CA_EMBED_ENCRYPTION_KEYS": key}
    )
    program.process.communicate(timeout=60)
    (env_file,) = tmp_path.glob("ca-embed-demo-*/demo.env")

    assert program.process.returncode == 0
    assert "CA_EMBED_STORAGE" in env_file.read_text()
    assert key not in env_file.read_text()


@pytest.mark.parametrize(
    ("knobs", "step", "words"),
    [({"api_status": 500}, 2, "was answered 502"), ({"deliveries": "wrong_signature"}, 4, "answered 401")],
)
def test_once_fails_with_a_reason(
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    knobs: dict[str, Any],
    step: int,
    words: str,
) -> None:
    """A failing step ends the run with exit code 1, the step's number and the reason."""
    with running() as demo:
        demo.sandbox.knobs.update(knobs)
        assert run_once(demo) == 1
    printed = capsys.readouterr()

    assert f"step {step} failed" in printed.err
    assert words in printed.err
    assert not SANDBOX_SECRET.search(printed.out + printed.err)


def test_wrong_storage(run: Run, folder: Path) -> None:
    """An unknown storage URL is wrong usage, and no folder is created."""
    assert run("demo", "--storage", "nonsense:x").code == 2
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_until_a_signal(start: Run, number: int) -> None:
    """It prints a URL and serves the page there. A signal ends it with exit code 0."""
    program = start("demo")
    url = program.line("Open ")
    page = requests.get(url, timeout=10)

    assert page.status_code == 200
    ended = program.end(number)
    assert (ended.code, ended.out) == (0, "")
    assert "Traceback" not in ended.err
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_host_application(folder: Path) -> None:
    """The CRM signs its visitor in, serves its page with a strict policy, and lists registrations."""
    with running() as demo, requests.Session() as browser:
        assert browser.get(f"{demo.url}registrations", timeout=10).status_code == 401
        page = browser.get(demo.url, timeout=10)
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert browser.get(demo.url.rstrip("/") + path, timeout=10).status_code == 200, path
        assert str(demo.embed.snippet()) in page.text
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert f"frame-src {demo.sandbox.base_url}" in policy
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"

        created = browser.post(f"{demo.url}chatarchitect/sessions", timeout=10).json()
        demo.sandbox.complete(created["registration_id"])
        (row,) = browser.get(f"{demo.url}registrations", timeout=10).json()
        assert row.pop("created_at")
        assert row == {
            "registration_id": created["registration_id"],
            "status": "completed",
            "phone": "421233221242",
        }


@pytest.mark.parametrize(
    "path", ["nothing", "static/nothing.css", "static/..%2Fpage.html", "static/__init__.py"]
)
def test_host_application_has_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Other paths are not found."""
    with running() as demo:
        assert requests.get(demo.url + path, timeout=10).status_code == 404


def test_no_cookie_no_user(folder: Path) -> None:
    """Without the CRM's cookie, or with a wrong one, no one is signed in."""
    with running() as demo:
        for cookies in ({}, {"alder_session": "made-up"}):
            made = requests.post(f"{demo.url}chatarchitect/sessions", cookies=cookies, timeout=10)
            assert made.status_code == 401
            page = requests.get(f"{demo.url}chatarchitect/staff", cookies=cookies, timeout=10)
            assert page.status_code == 404


def test_taken_port(run: Run, folder: Path) -> None:
    """A port in use is a failure with one line, and no folder is created."""
    with running() as demo:
        taken = run("demo", "--port", demo.url.rstrip("/").rpartition(":")[2])

    assert (taken.code, taken.err.count("\n")) == (1, 1)
    assert len(list(folder.iterdir())) == 1
