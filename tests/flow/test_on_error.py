"""What the host hears of its own errors: `on_error`, the place in the log, and the pytest fixtures."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from ca_embed import ConfigurationError
from ca_embed._host.calls import described
from tests.doors.clients import AsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import SECRET, Clock, build, closing, delivery

pytest_plugins = ["pytester"]


class Raised(Exception):
    """What the host's code raises here. The message holds a secret."""

    def __init__(self) -> None:
        super().__init__(SECRET)


def heard(embed: Any) -> list[tuple[BaseException, str]]:
    """Return the list to which what `on_error` gets is added."""
    found: list[tuple[BaseException, str]] = []
    embed.on_error(lambda error, where: found.append((error, where)))
    return found


def fails(*_: Any) -> Any:
    """Raise, as the host's own code may."""
    raise Raised


async def fails_later(*_: Any) -> Any:
    """Raise in a coroutine."""
    await asyncio.sleep(0)
    raise Raised


@pytest.mark.parametrize("function", [fails, fails_later])
def test_handlers(client_of: ClientOf, function: Any) -> None:
    """on_error gets the exception itself, and the name of the handler. The response stays the same."""
    embed = build()
    found = heard(embed)
    embed.on_completed(function, name="connect")
    assert client_of(embed).deliver(delivery()).json == {"status": "accepted"}
    ((error, where),) = found
    assert (type(error), where) == (Raised, "handler connect")
    assert error.__traceback__ is not None


@pytest.mark.parametrize("function", [fails, fails_later])
def test_identify(client_of: ClientOf, function: Any) -> None:
    """on_error gets what identify raised."""
    embed = build(identify=function)
    found = heard(embed)
    assert client_of(embed).post("/sessions").code == "not_signed_in"
    assert [(type(error), where) for error, where in found] == [(Raised, "identify")]


def test_reconcile() -> None:
    """on_error gets what a handler raises in `reconcile()`."""
    clock = Clock()
    embed = build(clock=clock, handlers="reconcile")
    found = heard(embed)
    embed.on_completed(fails, name="connect")
    with closing(embed, client := AsgiClient(embed.asgi)):
        client.deliver(delivery(at=clock()))
        assert embed.reconcile().handlers_failed == 1
    assert [where for _, where in found] == ["handler connect"]


@pytest.mark.parametrize("identify", [fails, fails_later])
def test_an_on_error_that_raises(
    client_of: ClientOf, caplog: pytest.LogCaptureFixture, identify: Any
) -> None:
    """What on_error raises is logged without its message. The other functions are called all the same."""
    embed = build(identify=identify)

    @embed.on_error
    def broken(error: BaseException, where: str) -> None:
        raise SystemExit(SECRET)

    found: list[str] = []

    @embed.on_error
    async def asynchronous(error: BaseException, where: str) -> None:
        await asyncio.sleep(0)
        found.append(where)

    embed.on_completed(fails, name="connect")
    client = client_of(embed)
    assert client.deliver(delivery()).json == {"status": "accepted"}
    assert client.post("/sessions").code == "not_signed_in"
    assert found == ["handler connect", "identify"]
    lines = [line for line in caplog.messages if line.startswith("on_error reason=failed raised=SystemExit")]
    assert len(lines) == 2
    assert SECRET not in caplog.text


def test_no_report() -> None:
    """A user who is not signed in is no error."""
    embed = build(identify=lambda native: None)
    found = heard(embed)
    with closing(embed, client := AsgiClient(embed.asgi)):
        assert client.post("/sessions").code == "not_signed_in"
    assert found == []


@pytest.mark.parametrize("function", [build, described, "report"])
def test_what_on_error_takes(function: Any) -> None:
    """A function that could not be called later is refused at once."""
    with pytest.raises(ConfigurationError, match="on_error"):
        build().on_error(function)


# --- the place -----------------------------------------------------------------------------------


def raised_by(function: Any) -> BaseException:
    """Call the function and return what it raises."""
    try:
        function()
    except (KeyError, json.JSONDecodeError) as error:
        return error
    raise AssertionError("nothing was raised")


def test_place_under_the_standard_library() -> None:
    """The place is the host's line, not the standard library's below it."""
    error = raised_by(lambda: json.loads("{"))
    assert described(error).startswith(f"JSONDecodeError at {__file__}:")


def module(folder: Path, name: str, text: str) -> Any:
    """Load a module of this text from a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text)
    names: dict[str, Any] = {"__name__": name}
    exec(compile(text, str(path), "exec"), names)
    return names


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
def test_place_under_a_library(tmp_path: Path, packages: str) -> None:
    """The place is the host's line, not that of an installed library."""
    driver = module(tmp_path / packages, "driver", "def execute():\n    raise KeyError('x')\n")
    assert described(raised_by(driver["execute"])).startswith(f"KeyError at {__file__}:")


def test_place_in_an_installed_application(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If the host is installed like a library, its own line is found all the same."""
    driver = module(tmp_path / "site-packages", "driver", "def execute():\n    raise KeyError('x')\n")
    text = "def connect(registration, credentials):\n    execute()\n"
    host = module(tmp_path / "site-packages", "crm", text)
    host["execute"] = driver["execute"]
    embed = build()
    embed.on_completed(host["connect"], name="connect")
    with closing(embed, client := AsgiClient(embed.asgi)), caplog.at_level(logging.ERROR, "ca_embed"):
        client.deliver(delivery())
    assert f"raised=KeyError at {tmp_path}/site-packages/crm.py:2;" in caplog.text


def test_place_without_a_traceback() -> None:
    """An error that was never raised has no place."""
    assert described(ValueError()) == "ValueError at an unknown place"


# --- the fixtures --------------------------------------------------------------------------------

TESTS = """
import pytest
from ca_embed.testing import signed_webhook

@pytest.fixture
def deliver(ca_embed_factory, ca_partner_token):
    def deliver(kind, name="connect"):
        embed = ca_embed_factory()
        @embed.on_completed(name=name)
        def connect(registration, credentials):
            if kind:
                raise kind("fake reason")
        headers, body = signed_webhook(ca_partner_token)
        from werkzeug.test import Client
        assert Client(embed.wsgi).post("/webhook", headers=headers, data=body).status_code == 200
    return deliver

def test_fails(deliver):
    deliver(ValueError)

def test_passes(deliver):
    deliver(None)

def test_expects(deliver, ca_handler_errors):
    with ca_handler_errors.expect(ValueError) as errors:
        deliver(ValueError)
    assert str(errors[0]) == "fake reason"

def test_expects_another(deliver, ca_handler_errors):
    with ca_handler_errors.expect(KeyError):
        deliver(ValueError)

def test_expects_in_vain(deliver, ca_handler_errors):
    with ca_handler_errors.expect():
        deliver(None)

def test_clears(deliver, ca_handler_errors):
    deliver(ValueError)
    assert ca_handler_errors[0][1] == "handler connect"
    ca_handler_errors.clear()
"""


def test_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test fails if a handler raised, unless it expects or forgives it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent.parent))
    pytester.makepyfile(TESTS)
    result = pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v")
    result.assert_outcomes(passed=4, failed=2, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*test_fails ERROR*",
            "*test_passes PASSED*",
            "*test_expects PASSED*",
            "*test_expects_another FAILED*",
            "*test_expects_another ERROR*",
            "*test_expects_in_vain FAILED*",
            "*test_clears PASSED*",
            "*handler connect raised ValueError at *test_fixtures.py:*. To expect it, *",
            "*ValueError: fake reason",
        ]
    )
