"""`sandbox` and `serve`, as processes of their own."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
import requests

Run = Callable[..., Any]

WITHOUT_WAITRESS = "import sys; sys.modules['waitress'] = None"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sandbox(start: Run, number: int) -> None:
    """It prints its address, accepts its token, serves its log page, and ends at a signal."""
    program = start("sandbox", "--json")
    told = json.loads(program.line(""))
    asked = requests.get(
        f"{told['base_url']}/partner?action=result&registration_id={'a' * 22}",
        headers={"Authorization": f"Bearer {told['partner_token']}"},
        timeout=10,
    )

    assert asked.status_code == 404
    assert requests.get(told["log_page"], timeout=10).status_code == 200
    assert program.end(number).code == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(told["log_page"], timeout=10)


def test_sandbox_tells_people(start: Run, run: Run) -> None:
    """The text output has the environment variables; a port in use is a failure with one line."""
    program = start("sandbox")
    base_url = program.line("CA_EMBED_BASE_URL")
    token, log_page = program.line("CA_EMBED_PARTNER_TOKEN"), program.line("log page")
    taken = run("sandbox", "--port", base_url.rpartition(":")[2])

    assert token
    assert log_page == f"{base_url}/sandbox"
    assert (taken.code, taken.out, taken.err.count("\n")) == (1, "", 1)
    assert "--port" in taken.err


@pytest.mark.parametrize("port", ["-1", "65536", "http", "٣"])
def test_wrong_port(run: Run, port: str) -> None:
    """An invalid port is wrong usage."""
    assert run("sandbox", "--port", port).code == 2


def with_two_headers(url: str) -> int:
    """Ask for a session with two user headers. Return the status of the response."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(address, timeout=10)
    connection.putrequest("POST", f"/{path}")
    for user_id in ("user_456", "user_789"):
        connection.putheader("X-Remote-User", user_id)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(("prelude", "server"), [("", "waitress."), (WITHOUT_WAITRESS, "werkzeug's")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve(start: Run, world: Any, prelude: str, server: str, number: int) -> None:
    """Waitress serves the endpoints if it is installed, otherwise werkzeug; a signal ends both."""
    arguments = ("serve", "--port", "0", "--user-header", "X-Remote-User")
    program = start(*arguments, environment=world.environment, prelude=prelude)
    port, _, named = program.error_line("Listening on 127.0.0.1 port ").partition(",")
    mount = f"http://127.0.0.1:{port}/chatarchitect"
    world.secrets += [world.sandbox.secret_of(one.registration_id) for one in world.sandbox.sessions]

    assert server in named
    assert requests.get(f"{mount}/health", timeout=10).json() == {"status": "ok"}
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 404
    assert requests.post(f"{mount}/sessions", timeout=10).status_code == 401
    assert with_two_headers(f"{mount}/sessions") == 401
    created = requests.post(f"{mount}/sessions", headers={"X-Remote-User": "Zoë".encode()}, timeout=10)
    assert created.status_code == 201
    assert world.embed.registration(created.json()["registration_id"]).user_id == "Zoë"

    ended = program.end(number)
    assert (ended.code, ended.out) == (0, "")
    assert "sessions reason=created" in ended.err
    assert "sessions reason=not_signed_in (X-Remote-User came twice" in ended.err
    assert not [place for place, secret in enumerate(world.secrets) if secret in ended.err]


def test_serve_warns(start: Run, world: Any) -> None:
    """Without --user-header it says that no one is signed in; with it, whom it trusts."""
    without = start("serve", "--port", "0", environment=world.environment)
    assert "--user-header" in without.error_line("No one is signed in")
    trusting = start("serve", "--port", "0", "--user-header", "X-User", environment=world.environment)
    assert "proxy" in trusting.error_line("Trusting the header X-User")


@pytest.mark.parametrize("name", ["", " ", "X User", "X_User", "X-Zoë", "Content-Type", "content-length"])
def test_impossible_user_header(run: Run, world: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An invalid header name is wrong usage, also an empty one, as from a shell variable not set."""
    for variable, value in world.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("ca_embed._cli.serve._run", lambda *_: None)
    ran = run("serve", "--user-header", name)

    assert ran.code == 2
    assert "--user-header" in ran.err


@pytest.mark.parametrize("name", ["", "X-User"])
def test_two_ways_to_know_the_user(run: Run, name: str) -> None:
    """A header besides the application's own identify is wrong usage."""
    ran = run("serve", "--user-header", name, "--app", "a:b")

    assert ran.code == 2
    assert "--user-header" in ran.err
