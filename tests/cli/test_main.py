"""Every command: exit codes, stdout and stderr, and what is never printed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ca_embed import __version__

Run = Callable[..., Any]

COMMANDS = (
    "demo", "sandbox", "serve", "create-session", "result", "retry-webhook", "reconcile", "replay", "list",
    "show", "verify", "generate-key", "keys", "rotate-keys", "copy", "purge", "doctor", "disconnect",
    "export",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("no-such-command",), ("list", "--no-such-option"), ("result",)])
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    """Wrong arguments exit with 2, and stderr shows the usage."""
    ran = run(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert "usage: ca-embed" in ran.err


def test_help_names_every_command(run: Run) -> None:
    """--help goes to stdout, exits with 0 and names the commands."""
    ran = run("--help")

    assert (ran.code, ran.err) == (0, "")
    assert [
        command for command in COMMANDS if not re.search(rf"^    {command}\b", ran.out, re.MULTILINE)
    ] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(run: Run, command: str) -> None:
    """Each command has a help text."""
    ran = run(command, "--help")

    assert ran.code == 0
    assert f"usage: ca-embed {command}" in ran.out


def test_the_manual_names_every_command() -> None:
    """The table in docs/operations.md has exactly the commands."""
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    _, _, section = manual.partition("## Commands\n")
    table, _, _ = section.partition("\n## ")

    assert sorted(re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE)) == sorted(COMMANDS)


def test_python_m() -> None:
    """`python -m ca_embed` is the same program."""
    ran = subprocess.run(
        [sys.executable, "-m", "ca_embed", "--version"], capture_output=True, text=True, check=True
    )

    assert ran.stdout == f"ca-embed {__version__}\n"


def test_starting_is_light() -> None:
    """Building the commands imports no server, HTTP client, cryptography or sandbox."""
    code = (
        "import sys, ca_embed._cli as cli; cli._parser(); "
        "print({'werkzeug.serving', 'requests', 'cryptography', 'ca_embed.sandbox'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "set()\n"


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("list",), ["STORAGE", "ENCRYPTION_KEYS"]),
        (("show", "abc"), ["STORAGE", "ENCRYPTION_KEYS"]),
        (("keys",), ["STORAGE", "ENCRYPTION_KEYS"]),
        (("rotate-keys",), ["STORAGE", "ENCRYPTION_KEYS"]),
        (("purge", "--user", "u"), ["STORAGE", "ENCRYPTION_KEYS"]),
        (("result", "abc"), ["BASE_URL", "PARTNER_TOKEN"]),
        (("retry-webhook", "abc"), ["BASE_URL", "PARTNER_TOKEN"]),
        (("verify", "--timestamp", "1", "--signature", "s", "/dev/null"), ["PARTNER_TOKEN"]),
        (("create-session", "u"), ["BASE_URL", "PARTNER_TOKEN", "PUBLIC_URL", "STORAGE", "ENCRYPTION_KEYS"]),
        (("reconcile",), ["BASE_URL", "PARTNER_TOKEN", "PUBLIC_URL", "STORAGE", "ENCRYPTION_KEYS"]),
        (("serve",), ["BASE_URL", "PARTNER_TOKEN", "PUBLIC_URL", "STORAGE", "ENCRYPTION_KEYS"]),
    ],
)
def test_missing_settings(run: Run, arguments: tuple[str, ...], needed: list[str]) -> None:
    """Missing settings exit with 2. One error names all that this command needs, and no other."""
    ran = run(*arguments)
    named = [word.strip("()") for word in ran.err.split() if word.startswith("CA_EMBED_")]

    assert (ran.code, ran.out) == (2, "")
    assert sorted({name.rstrip(");") for name in named}) == sorted(f"CA_EMBED_{name}" for name in needed)


def test_wrong_settings_are_not_repeated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error names a wrong secret or URL by its place, never by its value."""
    for name in ("BASE_URL", "PUBLIC_URL", "PARTNER_TOKEN", "STORAGE", "ENCRYPTION_KEYS"):
        monkeypatch.setenv(f"CA_EMBED_{name}", f"{name[0].lower()}:fake-9")
    ran = run("create-session", "user_456")

    assert ran.code == 2
    assert "partner_token[0] is shorter" in ran.err
    assert "fake-9" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        (("list",), ["encryption_keys[0] is shorter", "encryption_keys[2] is repeated", "storage URL"]),
        (("result", "abc"), ["base_url: it must begin with https://", "partner_token[0] is shorter"]),
        (("verify", "--timestamp", "1", "--signature", "s", "/dev/null"), ["partner_token[0] is shorter"]),
    ],
)
def test_a_part_of_the_settings_is_checked_as_the_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], problems: list[str]
) -> None:
    """A command refuses the same settings as Embed, among those it needs, all in one error."""
    monkeypatch.setenv("CA_EMBED_BASE_URL", "http://fake-9.example")
    monkeypatch.setenv("CA_EMBED_PARTNER_TOKEN", "fake-9")
    monkeypatch.setenv("CA_EMBED_STORAGE", "fake-9")
    monkeypatch.setenv("CA_EMBED_ENCRYPTION_KEYS", "fake-9 " + "fake-encryption-key " * 2)
    ran = run(*arguments)

    assert (ran.code, ran.out, ran.err.count("  - ")) == (2, "", len(problems))
    assert [problem for problem in problems if problem not in ran.err] == []
    assert "fake-9" not in ran.err


def test_unforeseen_errors(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error becomes one line without its message, and exit code 1."""

    def fail() -> str:
        raise RuntimeError("fake-secret-in-a-message")

    monkeypatch.setattr("ca_embed._vault.keyring.generate_key", fail)
    ran = run("generate-key")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "RuntimeError" in ran.err
    assert "fake-secret" not in ran.err


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with exit code 130 and no output."""

    def interrupt() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("ca_embed._vault.keyring.generate_key", interrupt)

    assert run("generate-key").code == 130


def test_the_reader_has_ended() -> None:
    """If the reader of the pipe ends, like `head`, the program ends without a traceback."""
    program = subprocess.Popen(
        [sys.executable, "-c", "from ca_embed._cli import main; raise SystemExit(main())", "generate-key"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    program.stdout.close()
    program.stdout = None
    _, err = program.communicate(timeout=30)

    assert program.returncode == 1
    assert "pipe" not in err.lower()
