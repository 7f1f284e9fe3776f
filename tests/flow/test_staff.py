"""The operator's page: whom it lets in, what it shows, what it does, and what it refuses."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from ca_embed import AuditEntry
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import Answer, Client
from tests.doors.fixtures import ClientOf
from tests.flow.kit import (
    OTHER_ORIGIN,
    OWN_ORIGIN,
    PUBLIC_URL,
    SECRET,
    TOKEN,
    USER,
    Clock,
    at_sandbox,
    build,
    delivery,
    signed,
    store_session,
)

ID = "abc123def456ghi789jkl0"
PHONE = "421233221242"
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class Desk:
    """A person of the staff at an Embed: reads pages, and sends their forms as a browser does."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def read(self, path: str = "") -> str:
        answer = self.get(path)
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def get(self, path: str = "") -> Answer:
        route, _, query = path.partition("?")
        if hasattr(self.client, "_scope"):
            self.client._scope["query_string"] = query.encode()
        else:
            self.client._environ["QUERY_STRING"] = query  # type: ignore[attr-defined]
        return self.client.get("/staff" + route)

    def form(self, page: str, action: str, *, handler: str | None = None) -> dict[str, str]:
        """Return the fields of the page's form for this action."""
        for form in re.findall(r"<form.*?</form>", page, re.DOTALL):
            fields = {name: html.unescape(value) for name, value in HIDDEN.findall(form)}
            if fields["action"] == action and fields.get("handler") == handler:
                return fields
        raise AssertionError(f"no form for {action} in {page}")

    def send(self, fields: dict[str, str], **headers: str) -> Answer:
        sent = {
            "content_type": "application/x-www-form-urlencoded",
            "origin": OWN_ORIGIN,
            "sec_fetch_site": "same-origin",
            **headers,
        }
        given = {name: value for name, value in sent.items() if value}
        return self.client.post("/staff", urlencode(fields).encode(), **given)

    def press(self, path: str, action: str, *, handler: str | None = None, **fields: str) -> Answer:
        """Load a page, and send one of its forms."""
        return self.send({**self.form(self.read(path), action, handler=handler), **fields})


class Known:
    """An Embed with a completed registration, its audit trail, and a handler that fails if told to."""

    def __init__(self, **overrides: Any) -> None:
        self.entries: list[AuditEntry] = []
        self.clock = Clock()
        self.fails = False
        self.runs = 0
        settings = {"staff": lambda native: "Ada", "audit": self.entries.append, "clock": self.clock}
        self.embed = build(**{**settings, **overrides})
        self.embed.on_completed(name="connect")(self.connect)

    def connect(self, *_: object) -> None:
        self.runs += 1
        if self.fails:
            raise ValueError(SECRET)


@pytest.fixture
def known() -> Iterator[Known]:
    """An Embed that lets Ada in."""
    made = Known()
    yield made
    made.embed.close()


@pytest.fixture
def desk(client_of: ClientOf, known: Known) -> Desk:
    """Ada at a completed registration."""
    client = client_of(known.embed)
    assert client.deliver(delivery(at=known.clock.now, partner_state="state-of-the-session")).status == 200
    return Desk(client)


# --- who is let in --------------------------------------------------------------------------------


async def no_one(_native: object) -> bool:
    """Let no one in."""
    await asyncio.sleep(0)
    return False


class Person:
    """A user object of a framework: true, whether or not anyone is signed in."""


@pytest.mark.parametrize(
    "staff",
    [None, lambda _: False, lambda _: None, lambda _: "", no_one, lambda _: Person(), lambda _: 1],
    ids=["not set", "False", "None", "empty", "asynchronous", "a user object", "a number"],
)
def test_strangers_learn_nothing(client_of: ClientOf, staff: Any) -> None:
    """Without the setting, and for all whom it does not let in, each path is as if it did not exist."""
    client = client_of(build(staff=staff))
    nothing = client.get("/nothing")
    for method, path in (
        ("GET", "/staff"),
        ("HEAD", "/staff"),
        ("POST", "/staff"),
        ("PUT", "/staff"),
        ("DELETE", "/staff/abc"),
        ("OPTIONS", "/staff"),
        ("GET", f"/staff/{ID}"),
        ("POST", f"/staff/{ID}"),
        ("GET", "/staff/a/b"),
    ):
        answer = client.request(method, path, headers={"origin": OTHER_ORIGIN})
        assert (answer.status, answer.headers) == (404, nothing.headers)
        assert method == "HEAD" or answer.body == nothing.body


async def let_in(_native: object) -> bool:
    """Let everyone in."""
    await asyncio.sleep(0)
    return True


@pytest.mark.parametrize(
    ("staff", "actor"),
    [(lambda _: True, "staff"), (lambda _: "Ada", "staff Ada"), (let_in, "staff")],
    ids=["True", "a name", "asynchronous"],
)
def test_who_acts(client_of: ClientOf, staff: Any, actor: str) -> None:
    """`staff` returns True or the person's name, which the audit trail gets. It may be asynchronous."""
    known = Known(staff=staff)
    desk = Desk(client_of(known.embed))
    desk.client.deliver(delivery())
    assert desk.press(f"/{ID}", "replay").status == 303
    assert [(entry.action, entry.actor, entry.registration_id) for entry in known.entries] == [
        ("replayed", actor, ID)
    ]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_staff_raises(client_of: ClientOf, caplog: pytest.LogCaptureFixture, asynchronous: bool) -> None:
    """An exception of `staff` lets no one in. The log and `on_error` tell, without its message."""

    def fails(_native: object) -> bool:
        raise ValueError(SECRET)

    async def fails_later(_native: object) -> bool:
        await asyncio.sleep(0)
        raise ValueError(SECRET)

    heard = list[tuple[BaseException, str]]()
    embed = build(staff=fails_later if asynchronous else fails)
    embed.on_error(lambda error, where: heard.append((error, where)))
    with caplog.at_level(logging.WARNING):
        assert client_of(embed).get("/staff").status == 404
    assert [(type(error), where) for error, where in heard] == [(ValueError, "staff")]
    assert "staff reason=staff_failed (staff raised ValueError at" in caplog.text
    assert SECRET not in caplog.text


def test_a_user_object_is_told(client_of: ClientOf, caplog: pytest.LogCaptureFixture) -> None:
    """The log says why a `staff` that returns a user object lets no one in."""
    with caplog.at_level(logging.WARNING):
        assert client_of(build(staff=lambda _: Person())).get("/staff").status == 404
    assert "staff returned Person; return True, False, or the person's name" in caplog.text


# --- what is shown --------------------------------------------------------------------------------


def test_start(desk: Desk, known: Known) -> None:
    """The start page has the search, the last hours and the latest registrations."""
    page = desk.read()
    assert f'href="/chatarchitect/staff/{ID}"' in page
    assert "Nothing is overdue, parked or failing." in page
    assert 'aria-label="1 begun' in page
    known.clock.advance(25 * 3600)
    assert 'aria-label="0 begun, 0 completed' in desk.read()


def test_waiting_on_top(client_of: ClientOf) -> None:
    """What fails, what is overdue and what is parked stands on the start page, with the reason."""
    known = Known()
    known.fails = True
    desk = Desk(client_of(known.embed))
    desk.client.deliver(delivery(at=known.clock.now))
    assert "<h2>Failing</h2>" in desk.read()
    known.clock.advance(3600)
    page = desk.read()
    assert "<h2>Overdue</h2>" in page
    assert page.index("<h2>Overdue</h2>") < page.index("<h2>Latest registrations</h2>")
    assert "connect: ValueError at" in page
    known.clock.advance(25 * 3600)
    known.embed.reconcile()
    assert "<h2>Parked</h2>" in desk.read()
    assert '<span class="status parked">parked</span>' in desk.read(f"/{ID}")


def test_registration(desk: Desk, known: Known) -> None:
    """A registration's page has its facts, its timeline, its handlers, and its events with theirs."""
    known.embed.on_event("made_up.suspended", name="pause")(lambda event: None)
    body = json.dumps({"event": "made_up.suspended", "registration_id": ID, "why": "secret-of-a-payload"})
    assert desk.client.deliver(signed(body.encode(), at=known.clock.now)).status == 200
    page = desk.read(f"/{ID}")
    for text in ("completed", USER, PHONE, "Session created", "Completed", "the webhook was signed"):
        assert text in page
    assert "<strong>connect</strong>" in page
    assert "<strong>pause</strong>" in page
    assert "Event made_up.suspended received" in page


def test_timeline(client_of: ClientOf, sandbox: Sandbox) -> None:
    """What happened in the same second stands in the order in which it happens."""
    embed = at_sandbox(sandbox, staff=lambda _: True, clock=Clock())
    desk = Desk(client_of(embed))
    registration_id = embed.create_session(USER).registration_id
    assert "Next question to ChatArchitect" in desk.read(f"/{registration_id}")
    assert "Session ends" in desk.read(f"/{registration_id}")
    sandbox.complete(registration_id, deliver=False)
    embed._core.clock.advance(10)  # type: ignore[attr-defined]
    embed.reconcile()
    page = desk.read(f"/{registration_id}")
    assert "Credentials accepted: found by a question" in page
    assert page.index("Session created") < page.index("Completed<")
    assert "Session ends" not in page


def test_no_secret(desk: Desk, known: Known) -> None:
    """No page and no export has the secret, the state of a session, a token or a payload."""
    shown = [desk.read(), desk.read(f"/{ID}"), desk.read(f"/{ID}?ask=forget")]
    shown.append(desk.press(f"/{ID}", "export").body.decode())
    for text in shown:
        for secret in (SECRET, "state-of-the-session", "partner_state", TOKEN, "ca_app_123"):
            assert secret not in text or (secret == "ca_app_123" and text.startswith("{"))


def test_markup_is_escaped(client_of: ClientOf) -> None:
    """What users, hosts and ChatArchitect name is text, never markup."""
    known = Known()
    desk = Desk(client_of(known.embed))
    desk.client.deliver(delivery(partner_user_id="<b>u</b>", phone="<i>1</i>", at=known.clock.now))
    found = desk.press("", "find", wanted='"><script>')
    for page in (desk.read(), desk.read(f"/{ID}"), desk.read(f"/{ID}?ask=forget"), found.body.decode()):
        assert not re.search(r"<(b|i|script)\b", page)


def test_headers(desk: Desk) -> None:
    """The policy allows one style sheet and own forms alone. A form may name its origin."""
    answer = desk.get()
    policy = answer.headers["content-security-policy"]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; form-action 'self'; base-uri 'none'; "
        r"frame-ancestors 'none'",
        policy,
    )
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.body.decode()
    assert " style=" not in answer.body.decode()


# --- finding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [USER, PHONE, f"+{PHONE}", "+421 233 221-242", f" {USER} "])
def test_find(desk: Desk, wanted: str) -> None:
    """A registration is found by its user and by its phone, in any spelling."""
    answer = desk.press("", "find", wanted=wanted)
    assert answer.status == 200
    assert f'href="/chatarchitect/staff/{ID}"' in answer.body.decode()


def test_find_by_id(desk: Desk) -> None:
    """A registration id leads to its page. What is not found is said."""
    answer = desk.press("", "find", wanted=ID)
    assert (answer.status, answer.headers["location"]) == (303, f"{PUBLIC_URL}/staff/{ID}")
    assert "No registration." in desk.press("", "find", wanted="421999999999").body.decode()
    assert desk.get("/unknown").status == 404


def test_a_bounded_search_says_so(desk: Desk, known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search by phone, and the counts, read only so many registrations, and say so."""
    store_session(known.embed, "zzz", expires_at=known.clock.now + 3600, user_id="other")
    monkeypatch.setattr("ca_embed._vault.overview._MOST_READ", 1)
    told = "Only 1 registrations were read"
    for _ in range(2):
        assert told in desk.press("", "find", wanted="421999999999").body.decode()
        assert told in desk.read()
        known.embed.forget("other")  # what was erased is read too, and counts


# --- doing ----------------------------------------------------------------------------------------


def test_replay(desk: Desk, known: Known) -> None:
    """Handlers run again, all or one, in the next pass."""
    for handler, runs in ((None, 2), ("connect", 3)):
        answer = desk.press(f"/{ID}", "replay", handler=handler)
        assert (answer.status, answer.headers["location"]) == (
            303,
            f"{PUBLIC_URL}/staff/{ID}?done=replayed",
        )
        assert "The handlers are due again." in desk.read(f"/{ID}?done=replayed")
        known.embed.reconcile()
        assert known.runs == runs
    assert [entry.action for entry in known.entries] == ["replayed"] * 2


def test_an_unknown_handler(desk: Desk, known: Known) -> None:
    """A change that cannot be made is told in a page, and is no entry of the audit trail."""
    answer = desk.press(f"/{ID}", "replay", handler="connect")
    assert answer.status == 303
    fields = {**desk.form(desk.read(f"/{ID}"), "replay"), "handler": "unknown"}
    refused = desk.send(fields)
    assert refused.status == 400
    assert "no handler is named" in refused.body.decode()
    assert len(known.entries) == 1


def test_disconnect(desk: Desk, known: Known) -> None:
    """Disconnecting is asked about first. Then the credentials are gone."""
    assert f'href="/chatarchitect/staff/{ID}?ask=disconnect"' in desk.read(f"/{ID}")
    assert desk.press(f"/{ID}?ask=disconnect", "disconnect").status == 303
    registration = known.embed.registration(ID)
    assert registration is not None
    assert registration.status == "disconnected"
    assert [(entry.action, entry.actor) for entry in known.entries] == [("disconnected", "staff Ada")]
    assert "ask=disconnect" not in desk.read(f"/{ID}")


def test_forget(desk: Desk, known: Known) -> None:
    """Forgetting a user is asked about first, with the number of registrations."""
    store_session(known.embed, "second", expires_at=known.clock.now + 3600)
    assert "with their credentials: 2." in desk.read(f"/{ID}?ask=forget")
    answer = desk.press(f"/{ID}?ask=forget", "forget")
    assert (answer.status, answer.headers["location"]) == (303, f"{PUBLIC_URL}/staff?done=forgotten")
    assert known.embed.registrations(USER) == []
    assert [(entry.action, entry.user_id) for entry in known.entries] == [("forgotten", USER)]
    assert desk.get(f"/{ID}").status == 404


def test_export(desk: Desk, known: Known) -> None:
    """The export is a download, and an entry of the audit trail."""
    answer = desk.press(f"/{ID}", "export")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.json["registrations"][0]["registration_id"] == ID
    assert [(entry.action, entry.user_id) for entry in known.entries] == [("exported", USER)]


def test_retry_webhook(client_of: ClientOf, sandbox: Sandbox) -> None:
    """ChatArchitect is asked to deliver again. What it refuses is told in a page."""
    entries = list[AuditEntry]()
    embed = at_sandbox(sandbox, staff=lambda _: True, audit=entries.append)
    desk = Desk(client_of(embed))
    registration_id = embed.create_session(USER).registration_id
    refused = desk.press(f"/{registration_id}", "retry-webhook")
    assert (refused.status, entries) == (502, [])
    assert "ChatArchitect refused the request." in refused.body.decode()
    sandbox.complete(registration_id)
    assert desk.press(f"/{registration_id}", "retry-webhook").status == 303
    assert [(entry.action, entry.actor) for entry in entries] == [("webhook_retried", "staff")]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": ""},
        {"origin": "null"},
        {"origin": OTHER_ORIGIN},
        {"origin": OWN_ORIGIN.upper()},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
)
def test_foreign_forms(client_of: ClientOf, headers: dict[str, str]) -> None:
    """A form that another page has sent changes nothing, also if that page may register users."""
    known = Known(parent_origins=[OTHER_ORIGIN])
    desk = Desk(client_of(known.embed))
    desk.client.deliver(delivery())
    fields = desk.form(desk.read(f"/{ID}?ask=forget"), "forget")
    assert desk.send(fields, **headers).status == 403
    assert known.embed.registration(ID) is not None
    assert known.entries == []
    assert desk.send(fields, sec_fetch_site="").status == 303  # of a browser that sends no such header


def _without(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name != "token"}


@pytest.mark.parametrize(
    "change",
    [
        _without,
        lambda fields: {**fields, "token": ""},
        lambda fields: {**fields, "token": "\ud7ff" * 64},
        lambda fields: {**fields, "token": "0" * 64},
        lambda fields: {**fields, "action": "disconnect"},
        lambda fields: {**fields, "registration_id": "another"},
    ],
    ids=["none", "empty", "odd", "made up", "of another action", "of another registration"],
)
def test_foreign_tokens(desk: Desk, known: Known, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """A token is good for one action on one registration."""
    fields = change(desk.form(desk.read(f"/{ID}"), "replay"))
    refused = desk.send(fields)
    assert (refused.status, known.entries) == (403, [])
    assert "Load it again" in refused.body.decode()


def test_the_token_of_another_person(client_of: ClientOf) -> None:
    """A token is of one person, and of one mount."""
    storage = MemoryStorage()
    ada, bob = (Known(staff=lambda _, name=name: name, storage=storage) for name in ("Ada", "Bob"))
    of_ada, of_bob = Desk(client_of(ada.embed)), Desk(client_of(bob.embed))
    of_ada.client.deliver(delivery())
    of_ada_alone = of_ada.form(of_ada.read(f"/{ID}"), "replay")
    assert of_bob.send(of_ada_alone).status == 403
    other = Desk(client_of(Known(storage=storage, public_url=f"{OWN_ORIGIN}/other").embed))
    assert other.send(of_ada_alone).status == 403
    assert of_ada.send(of_ada_alone).status == 303


def test_the_age_of_a_token(desk: Desk, known: Known) -> None:
    """A token is good until the end of the next day."""
    fields = desk.form(desk.read(f"/{ID}"), "replay")
    known.clock.now += timedelta(days=1).total_seconds()
    assert desk.send(fields).status == 303
    known.clock.now += timedelta(days=1).total_seconds()
    assert desk.send(fields).status == 403


@pytest.mark.parametrize(
    "body", [b"", b"a", b"\xff=1", b"action=find&action=find", b"a=%ff", b"&".join([b"a=1"] * 20), b"{}"]
)
def test_wrong_bodies(desk: Desk, body: bytes) -> None:
    """A body that is no form of ours is refused, not a server error."""
    answer = desk.client.post("/staff", body, origin=OWN_ORIGIN)
    assert answer.status in (400, 403)
    assert answer.headers["content-type"].startswith("text/html")


def test_tokens_outlive_a_new_partner_token(client_of: ClientOf) -> None:
    """A page that was loaded before the partner token changed still works while the old one is known."""
    storage = MemoryStorage()
    before = Known(storage=storage)
    after = Known(storage=storage, partner_token=["fake-partner-token-brand-new", TOKEN])
    old, new = Desk(client_of(before.embed)), Desk(client_of(after.embed))
    old.client.deliver(delivery())
    assert new.send(old.form(old.read(f"/{ID}"), "replay")).status == 303


def test_storage_that_fails(client_of: ClientOf) -> None:
    """A storage that fails gives a page that says so."""

    class Broken(MemoryStorage):
        def list(self, **_: Any) -> Any:
            raise OSError

    answer = client_of(build(staff=lambda _: True, storage=Broken())).get("/staff")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert b"The storage is not available" in answer.body
