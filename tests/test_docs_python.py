"""docs/python.md: its programs, run as they stand there, and its words, held to the code."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from ca_embed import (
    Embed,
    PartnerClient,
    Retry,
    Rotation,
    Status,
    errors,
)
from ca_embed import _config as config
from ca_embed import _registration as registration
from ca_embed._given import SHORTEST_SECRET
from ca_embed.sandbox import Sandbox
from ca_embed.testing import _pytest_plugin as pytest_plugin
from tests.doors.clients import WsgiClient
from tests.flow.kit import USER, Clock, at_sandbox, closing, wait_until
from tests.markdown import python_blocks

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = {
    section.partition("\n")[0]: section for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
}
CODE = "\n".join([*python_blocks(TEXT), *re.findall(r"`([^`\n]+)`", TEXT)])
WORDS = set(re.findall(r"\w+", CODE))
RUN: set[str] = set()


class Program:
    """The blocks of one section, run one after the other, with its names as attributes."""

    def __init__(self, heading: str, **names: Any) -> None:
        self.names: dict[str, Any] = {"__name__": __name__, **names}
        self._blocks = iter(python_blocks(SECTIONS[heading]))

    def run_next(self) -> None:
        """Run the next block."""
        exec(next(self._blocks), self.names)

    def run(self) -> None:
        """Run all that are left."""
        for block in self._blocks:
            exec(block, self.names)

    def __getattr__(self, name: str) -> Any:
        return self.names[name]


def section(heading: str) -> Callable[[Any], Any]:
    """Give a test the program of that section."""
    RUN.add(heading)
    return pytest.mark.parametrize("program", [heading], indirect=True)


@pytest.fixture
def clock() -> Clock:
    """A clock that the test sets."""
    return Clock()


@pytest.fixture
def program(
    request: pytest.FixtureRequest, ca_sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    """The program of a section, with an `embed` at the sandbox, whose settings the environment has too."""
    for name, value in {
        "PARTNER_TOKEN": "a-fake-partner-token",
        "ENCRYPTION_KEY": "a-fake-encryption-key",
        "CA_EMBED_BASE_URL": ca_sandbox.base_url,
        "CA_EMBED_PARTNER_TOKEN": ca_sandbox.partner_token,
        "CA_EMBED_PUBLIC_URL": "https://crm.example/chatarchitect",
        "CA_EMBED_STORAGE": "memory:",
        "CA_EMBED_ENCRYPTION_KEYS": "a-fake-encryption-key",
    }.items():
        monkeypatch.setenv(name, value)
    with closing(embed := at_sandbox(ca_sandbox, clock=clock)):
        yield Program(request.param, embed=embed)


def completed(program: Program, sandbox: Sandbox) -> str:
    """Complete a registration of the user, by its webhook."""
    registration_id = str(program.embed.create_session(USER).registration_id)
    sandbox.complete(registration_id, deliver=False)
    webhook = sandbox.signed_webhook(registration_id)
    assert WsgiClient(program.embed.wsgi).deliver(webhook).json == {"status": "accepted"}
    return registration_id


# --- the programs --------------------------------------------------------------------------------


@section("Building an Embed")
def test_building(program: Program, ca_sandbox: Sandbox) -> None:
    """An Embed is built from arguments, then from the environment."""
    program.run_next()
    assert repr(program.embed) == (
        "<Embed https://crm.example/chatarchitect with https://registration.example>"
    )
    assert program.identify(SimpleNamespace(session={"user_id": 7})) == 7
    program.run_next()
    with closing(program.embed):
        registration_id = program.embed.create_session(USER).registration_id
        assert ca_sandbox.session(registration_id).integration == "My CRM"


@section("Handlers")
def test_handlers(program: Program, ca_sandbox: Sandbox) -> None:
    """Both handlers run when the webhook comes."""
    greeted: list[tuple[str, str]] = []

    async def send_greeting(user_id: str, phone: str) -> None:
        greeted.append((user_id, phone))

    numbers: dict[str, str] = {}
    program.names.update(numbers=numbers, send_greeting=send_greeting)
    program.run()
    completed(program, ca_sandbox)
    assert list(numbers) == [USER]
    assert greeted == list(numbers.items())


@section("When your code raises")
def test_on_error(program: Program, ca_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler raises reaches Sentry, with the handler's name."""
    captured, tags = list[BaseException](), dict[str, str]()
    sentry = SimpleNamespace(
        new_scope=lambda: nullcontext(SimpleNamespace(set_tag=tags.__setitem__)),
        capture_exception=captured.append,
    )
    monkeypatch.setitem(sys.modules, "sentry_sdk", sentry)
    program.run()
    raised = ValueError("the CRM is down")

    @program.embed.on_completed(name="connect")
    def connect(registration: Any, credentials: Any) -> None:
        raise raised

    completed(program, ca_sandbox)
    assert captured == [raised]
    assert tags == {"where": "handler connect"}


@section("Other events")
def test_other_events(program: Program, ca_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """The function hears of an event that the sandbox sends, and the event is kept."""
    registration_id = completed(program, ca_sandbox)
    program.names["registration_id"] = registration_id
    program.run_next()
    client = WsgiClient(program.embed.wsgi)
    event = {"event": "made_up.number.suspended", "registration_id": registration_id, "reason": "quality"}
    left_out = dict.fromkeys(["app_id", "app_secret", "phone", "integration", "completed_at"], ...)
    webhook = ca_sandbox.signed_webhook(registration_id, payload_overrides={**left_out, **event})
    assert client.deliver(webhook).json == {"status": "accepted"}
    assert capsys.readouterr().out == f"made_up.number.suspended {registration_id} quality\n"
    program.run_next()
    assert "'done')]" in capsys.readouterr().out


@section("Sessions")
def test_sessions(program: Program, ca_sandbox: Sandbox) -> None:
    """The session is stored here and opened there, with the words of the call."""
    program.run()
    registration_id = program.session.registration_id
    opened = ca_sandbox.session(registration_id)
    assert (opened.partner_user_id, opened.partner_state, opened.lang) == ("user_456", "order-17", "pt")
    assert program.embed.registration(registration_id).user_id == "user_456"
    assert program.iframe == {"src": program.session.iframe_url, "until": opened.expires_at}


@section("Registrations and credentials")
def test_registrations(program: Program, ca_sandbox: Sandbox) -> None:
    """The calls give a completed registration and its credentials."""
    program.names["registration_id"] = completed(program, ca_sandbox)
    program.run()
    assert program.registration.status == Status.COMPLETED == "completed"
    assert program.completed == [program.registration]
    assert program.credentials.app_secret == ca_sandbox.secret_of(program.registration_id)
    assert program.credentials.app_secret not in repr(program.credentials)


@section("Reconcile")
def test_reconcile(program: Program, ca_sandbox: Sandbox, clock: Clock) -> None:
    """The passes beside the application finish what a lost webhook left, and handlers run again."""
    embed, runs = program.embed, list[str]()
    embed.on_completed(name="crm.greet")(lambda registration, credentials: runs.append("greet"))
    lost = embed.create_session(USER).registration_id
    ca_sandbox.complete(lost, deliver=False)
    clock.advance(6)
    program.names["registration_id"] = lost
    program.names["serve_until_stopped"] = lambda: wait_until(lambda: runs == ["greet"])
    program.run()
    assert embed.reconcile().handlers_done == 1
    assert runs == ["greet"] * 2

    async def serve() -> None:
        async with program.lifespan(None):
            await asyncio.sleep(0)

    asyncio.run(serve())


@section("Disconnecting and handing out")
def test_disconnecting(program: Program, ca_sandbox: Sandbox) -> None:
    """The credentials are gone, and what is handed out holds no secret."""
    program.names["registration_id"] = completed(program, ca_sandbox)
    program.run()
    assert program.ended.status == "disconnected"
    assert program.embed.credentials(program.registration_id) is None
    (exported,) = program.everything["registrations"]
    assert exported["registration_id"] == program.registration_id


@section("Redelivery, erasing, changing keys")
def test_upkeep(program: Program, ca_sandbox: Sandbox, clock: Clock) -> None:
    """The calls do what they say. A webhook that comes after `forget` brings nothing back."""
    program.names["registration_id"] = completed(program, ca_sandbox)
    program.embed.create_session("user_012")
    ca_sandbox.knobs.expires_in = timedelta(days=40).total_seconds()
    kept = program.embed.create_session("user_789").registration_id
    clock.advance(timedelta(days=31).total_seconds())
    ca_sandbox.knobs.deliveries = "lost"
    program.run()
    assert isinstance(program.retry, Retry)
    assert program.retry.attempts == 1
    assert (program.removed, program.purged) == (1, 1)
    assert program.rotation == Rotation(current=2)  # one of them a tombstone
    assert list(program.records_by_key.values()) == [2]
    assert [one.registration_id for one in program.embed.registrations()] == [kept]

    webhook = ca_sandbox.signed_webhook(program.registration_id, timestamp=int(clock()))
    assert WsgiClient(program.embed.wsgi).deliver(webhook).json == {"status": "duplicate"}
    assert program.embed.registration(program.registration_id) is None


@section("On an event loop")
def test_on_an_event_loop(program: Program, ca_sandbox: Sandbox) -> None:
    """The awaitable call gives what the blocking one gives."""
    program.run()
    registration_id = completed(program, ca_sandbox)
    assert asyncio.run(program.phones(USER)) == [program.embed.registration(registration_id).phone]


@section("Closing")
def test_closing(program: Program) -> None:
    """The script ends, and the next use would open everything again."""
    program.run()
    assert program.open_sessions == []
    assert program.embed.registrations() == []


@section("The Partner API alone")
def test_partner_client(program: Program, ca_sandbox: Sandbox) -> None:
    """The client opens a session and fetches its credentials."""
    program.run_next()
    with closing(program.partner):
        ca_sandbox.complete(program.session.registration_id, deliver=False)
        program.run()
    assert program.credentials.app_secret == ca_sandbox.secret_of(program.session.registration_id)


@section("Errors")
def test_errors(program: Program, ca_sandbox: Sandbox) -> None:
    """The function answers for ca_embed, also when ChatArchitect fails."""
    program.run()
    assert program.open_session(USER)[0] == 201
    ca_sandbox.knobs.api_status = 500
    status, body = program.open_session(USER)
    assert (status, body["code"]) == (502, "partner_unavailable")
    assert ca_sandbox.base_url not in body["message"]


testing = Program("Testing your integration")
testing.run()
RUN.add("Testing your integration")
embed, client = testing.embed, testing.client
test_a_user_connects = testing.test_a_user_connects
test_a_handler = testing.test_a_handler
test_a_handler_that_fails = testing.test_a_handler_that_fails
test_a_webhook_that_never_comes = testing.test_a_webhook_that_never_comes


def test_the_plugins_docstring(ca_sandbox: Sandbox, client: Any, embed: Any) -> None:
    """The test in the docstring of the pytest plugin passes with the page's client."""
    names: dict[str, Any] = {}
    exec(dedent(re.split(r"\n\n(?=    def )", pytest_plugin.__doc__ or "")[1]), names)
    names["test_connects"](ca_sandbox, client, embed)


def test_every_block_is_run() -> None:
    """Each section that has code is run above, its tests are collected, and all code is Python."""
    assert {heading for heading, text in SECTIONS.items() if "```" in text} == RUN
    assert {name for name in testing.names if name.startswith("test_")} <= set(globals())
    assert TEXT.count("```") == 2 * len(python_blocks(TEXT))


# --- the words -----------------------------------------------------------------------------------


def rows(heading: str) -> list[list[str]]:
    """The cells of a section's tables."""
    lines = re.findall(r"^\|( `.*)\|$", SECTIONS[heading], re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_arguments_of_a_partner_client() -> None:
    """Each argument of PartnerClient and of its session is on the page."""
    calls = [inspect.signature(call) for call in (PartnerClient, PartnerClient.create_session)]
    assert {name for call in calls for name in call.parameters} - {"self", "base_url", "token"} <= WORDS


def test_arguments() -> None:
    """The table has each argument of Embed, in order, with its variable and its default."""
    parameters = inspect.signature(Embed).parameters
    table = {cells[0].strip("`"): cells[1:] for cells in rows("Building an Embed")}
    assert list(table) == list(parameters)
    variables = {name: cells[0].strip("`") for name, cells in table.items() if cells[0]}
    assert variables == {name: variable for name, (variable, _) in config._VARIABLES.items()}
    for name in ("replay_window", "handlers"):
        assert literal_eval(table[name][1].strip("`")) == parameters[name].default
    for name in ("partner_token", "encryption_keys"):
        assert f"at least {SHORTEST_SECRET} " in table[name][2]
    assert f"at most {config.LONGEST_WINDOW}," in table["replay_window"][2]
    assert all(f"`{language}`" in table["lang"][2] for language in config.LANGUAGES)


@pytest.mark.parametrize(
    "call", [Embed.snippet, Embed.create_session, Embed.rotate_keys, Embed.purge_expired]
)
def test_arguments_of_calls(call: Callable[..., Any]) -> None:
    """What else a call takes by name is on the page."""
    parameters = inspect.signature(call).parameters.values()
    assert {one.name for one in parameters if one.kind is one.KEYWORD_ONLY} <= WORDS


def test_back_off() -> None:
    """The page tells the first wait of a handler that failed, and the longest."""
    assert f"after {registration.HANDLER_FIRST_RETRY:.0f} seconds" in TEXT
    assert "at most one hour" in TEXT
    assert timedelta(seconds=registration.HANDLER_LAST_RETRY) == timedelta(hours=1)


def test_errors_table() -> None:
    """The table has each error class once, with its code and status where it is raised itself."""
    table = {tuple(re.findall(r"`(\w+)`", cells[0])): cells[1] for cells in rows("Errors")}
    named = [name for names in table for name in names]
    classes = {name: one for name, one in vars(errors).items() if isinstance(one, type)}
    assert sorted(named) == sorted(classes)
    for (name, *_), answer in table.items():
        is_root = bool(classes[name].__subclasses__())
        assert answer == f"`{classes[name].code}`, {classes[name].status}" or (is_root and not answer)


def test_links() -> None:
    """Each link of the page leads to a file, and to a heading that is there."""
    for path, anchor in re.findall(r"\]\(([\w./]*)(?:#([\w-]+))?\)", TEXT):
        target = (PAGE.parent / path) if path else PAGE
        headings = re.findall(r"^##+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in {
            re.sub(r"[^\w-]", "", one.lower().replace(" ", "-")) for one in headings
        }
