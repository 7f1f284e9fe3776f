"""A host that no longer uses a number: its credentials are gone, and nothing brings them back."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from ca_embed import Embed, NotFound, PartnerRejected, PartnerUnavailable, Result
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import Answer
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OWN_ORIGIN, SECRET, USER, Clock, at_sandbox, build, delivery, store_session

ID = "abc123def456ghi789jkl0"
LATER = "2027-01-01T00:00:00+00:00"


@pytest.fixture(name="embed")
def _embed() -> Any:
    with closing(build()) as embed:
        yield embed


def delivered(client_of: ClientOf, embed: Embed, **fields: Any) -> tuple[int, Any]:
    """Deliver a webhook, and return the status and the body of its response."""
    response = client_of(embed).deliver(delivery(**fields))
    return response.status, response.json


def test_disconnect(embed: Embed, client_of: ClientOf) -> None:
    """The credentials are erased. What else is known stays, with the status "disconnected"."""
    delivered(client_of, embed)
    before = embed.registration(ID)
    ended = embed.disconnect(ID)
    assert ended.status == "disconnected"
    assert embed.credentials(ID) is None
    assert embed.registration(ID) == ended
    assert before is not None
    assert (ended.phone, ended.user_id, ended.completed_at) == (before.phone, USER, before.completed_at)
    assert [one.registration_id for one in embed.registrations(status="disconnected")] == [ID]


def test_twice(embed: Embed, client_of: ClientOf) -> None:
    """A second disconnect changes nothing, and is no error."""
    delivered(client_of, embed)
    assert embed.disconnect(ID) == embed.disconnect(ID) == asyncio.run(embed.adisconnect(ID))


@pytest.mark.parametrize("registration_id", ["unknown", "no id!", ""])
def test_unknown(embed: Embed, registration_id: str) -> None:
    """What is not stored cannot be disconnected."""
    with pytest.raises(NotFound):
        embed.disconnect(registration_id)


def test_erased(embed: Embed, client_of: ClientOf) -> None:
    """An erased registration is not found."""
    delivered(client_of, embed)
    embed.forget(USER)
    with pytest.raises(NotFound):
        embed.disconnect(ID)


@pytest.mark.parametrize(
    "again",
    [{}, {"app_secret": "fake-other-secret", "completed_at": LATER}, {"completed_at": LATER}],
    ids=["the same", "newer and other", "newer"],
)
def test_no_delivery_brings_them_back(embed: Embed, client_of: ClientOf, again: dict[str, Any]) -> None:
    """A later webhook is acknowledged as a duplicate, whatever it carries. No handler runs."""
    ran: list[str] = []
    delivered(client_of, embed)
    embed.disconnect(ID)
    embed.on_completed(name="connect")(lambda registration, credentials: ran.append(registration.phone))
    assert delivered(client_of, embed, **again) == (200, {"status": "duplicate"})
    assert embed.credentials(ID) is None
    embed.reconcile()
    assert ran == []


def test_a_delivery_for_another_user_is_still_refused(embed: Embed, client_of: ClientOf) -> None:
    """A webhook of another user is no duplicate: it gets the 409 that it would get before."""
    delivered(client_of, embed)
    embed.disconnect(ID)
    assert delivered(client_of, embed, partner_user_id="eve")[0] == 409


def test_before_the_completion(embed: Embed, client_of: ClientOf) -> None:
    """An open session can be disconnected. A completion that comes then brings no credentials."""
    clock = Clock()
    store_session(embed, ID, expires_at=clock.now + 3600)
    embed.disconnect(ID)
    assert delivered(client_of, embed) == (200, {"status": "duplicate"})
    assert embed.credentials(ID) is None


def test_before_the_session_is_stored(embed: Embed, client_of: ClientOf) -> None:
    """If the webhook came before the session was stored, and the number was disconnected, it stays so."""
    delivered(client_of, embed)
    embed.disconnect(ID)
    store_session(embed, ID, expires_at=Clock().now + 3600)
    registration = embed.registration(ID)
    assert registration is not None
    assert registration.status == "disconnected"
    assert delivered(client_of, embed, completed_at=LATER) == (200, {"status": "duplicate"})


def test_no_answer_of_the_partner_api_brings_them_back(sandbox: Sandbox) -> None:
    """Neither a pass nor a page asks about a disconnected session. A retried webhook is a duplicate."""
    clock = Clock()
    with closing(at_sandbox(sandbox, clock=clock)) as embed:
        session = embed.create_session(USER)
        embed.disconnect(session.registration_id)
        sandbox.complete(session.registration_id)
        clock.advance(60)
        assert embed.reconcile().asked == 0
        assert embed.credentials(session.registration_id) is None


def test_an_answer_under_way(embed: Embed) -> None:
    """An answer to a question that was asked before the disconnect changes nothing."""
    clock = Clock()
    store_session(embed, ID, expires_at=clock.now + 3600)
    claimed = embed._core.questions.claim(ID, by_page=True)
    assert claimed is not None
    embed.disconnect(ID)
    open_still = Result("form_completed", None)
    for answer in (open_still, PartnerUnavailable("down"), PartnerRejected("no", partner_status=404)):
        embed._core.questions.note_result(claimed, answer)
        registration = embed.registration(ID)
        assert registration is not None
        assert registration.status == "disconnected"
    assert embed.reconcile().asked == 0


def test_replay(embed: Embed, client_of: ClientOf) -> None:
    """There is nothing to hand over any more."""
    embed.on_completed(name="connect")(lambda registration, credentials: None)
    delivered(client_of, embed)
    embed.disconnect(ID)
    with pytest.raises(NotFound):
        embed.replay(ID)


def test_a_handler_that_failed_does_not_run_again(client_of: ClientOf) -> None:
    """What was due is due no more."""
    clock, calls = Clock(), list[str]()

    def connect(registration: Any, credentials: Any) -> None:
        calls.append("run")
        raise ValueError

    with closing(build(clock=clock)) as embed:
        embed.on_completed(connect)
        client_of(embed).deliver(delivery(at=clock.now))
        embed.disconnect(ID)
        clock.advance(3600)
        embed.reconcile()
    assert calls == ["run"]


def test_a_handler_that_runs_meanwhile(client_of: ClientOf) -> None:
    """A handler that disconnects its own registration ends well. Those after it do not run."""
    calls: list[str] = []
    with closing(build()) as embed:

        @embed.on_completed(name="first")
        def first(registration: Any, credentials: Any) -> None:
            calls.append("first")
            embed.disconnect(registration.registration_id)

        @embed.on_completed(name="second")
        def second(registration: Any, credentials: Any) -> None:
            calls.append("second")

        client_of(embed).deliver(delivery())
        assert calls == ["first"]
        assert embed.reconcile().handlers_done == 0
        assert embed.credentials(ID) is None


def test_the_user_registers_anew(embed: Embed, client_of: ClientOf) -> None:
    """Another registration of the same number works as any."""
    delivered(client_of, embed)
    embed.disconnect(ID)
    assert delivered(client_of, embed, registration_id="another") == (200, {"status": "accepted"})
    assert embed.credentials("another") is not None


def test_purge_keeps_it(client_of: ClientOf) -> None:
    """A purge of expired sessions leaves it: without the record, a late webhook would bring credentials."""
    clock = Clock()
    with closing(build(clock=clock)) as embed:
        store_session(embed, ID, expires_at=clock.now + 3600)
        embed.disconnect(ID)
        clock.advance(90 * 24 * 3600)
        assert embed.purge_expired(timedelta(days=1)) == 0
        headers_and_body = delivery(at=clock.now)
        assert client_of(embed).deliver(headers_and_body).json == {"status": "duplicate"}


def test_forget_erases_it(embed: Embed, client_of: ClientOf) -> None:
    """A request to erase a user erases a disconnected registration as well."""
    delivered(client_of, embed)
    embed.disconnect(ID)
    assert embed.forget(USER) == 1
    assert embed.registration(ID) is None


def test_no_secret_is_left(client_of: ClientOf) -> None:
    """The stored record holds the secret no more, not even sealed."""
    storage = MemoryStorage()
    with closing(build(storage=storage)) as embed:
        client_of(embed).deliver(delivery())
        embed.disconnect(ID)
        record = storage.load(ID)
        assert record is not None
        plain = embed._core.ledger._keyring.open(record.document, registration_id=ID, field="document")
        assert SECRET.encode() not in plain


# --- from the page -------------------------------------------------------------------------------


def send(client_of: ClientOf, embed: Embed, method: str = "DELETE", **headers: str) -> Answer:
    """Send a request for the registration as its user's page does."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client_of(embed).request(method, f"/sessions/{ID}", headers=named)


def test_delete(client_of: ClientOf, caplog: pytest.LogCaptureFixture) -> None:
    """The user's page may disconnect if the host says so. It gets the registration as it is now."""
    with closing(build(disconnectable=True)) as embed, caplog.at_level(logging.INFO, "ca_embed"):
        delivered(client_of, embed)
        response = send(client_of, embed, Origin=OWN_ORIGIN)
        assert response.status == 200
        assert response.json["status"] == "disconnected"
        assert embed.credentials(ID) is None
        assert f"disconnect reason=disconnected registration_id={ID}" in caplog.text


def test_delete_is_off_by_default(embed: Embed, client_of: ClientOf) -> None:
    """Without the setting, the path does not take DELETE, and does not name it."""
    delivered(client_of, embed)
    for method in ("DELETE", "PUT"):
        response = send(client_of, embed, method, Origin=OWN_ORIGIN)
        assert response.status == 405
        assert "DELETE" not in response.headers["allow"]
    assert embed.credentials(ID) is not None


@pytest.mark.parametrize(
    ("build_with", "headers", "status"),
    [
        ({"identify": lambda native: None}, {"Origin": OWN_ORIGIN}, 401),
        ({"identify": lambda native: "eve"}, {"Origin": OWN_ORIGIN}, 404),
        ({}, {"Origin": "https://evil.example"}, 403),
        ({}, {"Sec_Fetch_Site": "cross-site"}, 403),
    ],
    ids=["signed out", "another user", "another origin", "another site"],
)
def test_delete_refused(
    client_of: ClientOf, build_with: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    """Only the owner's own page may disconnect."""
    with closing(build(disconnectable=True, **build_with)) as embed:
        delivered(client_of, embed)
        assert send(client_of, embed, **headers).status == status
        assert embed.credentials(ID) is not None


@pytest.mark.parametrize(("disconnectable", "method"), [(True, "DELETE"), (False, "GET")])
def test_preflight(client_of: ClientOf, disconnectable: bool, method: str) -> None:
    """An allowed page of another origin learns by the preflight whether it may disconnect."""
    with closing(build(disconnectable=disconnectable)) as embed:
        response = send(
            client_of, embed, "OPTIONS", Origin=OWN_ORIGIN, Access_Control_Request_Method="DELETE"
        )
        assert response.status == 204
        assert response.headers["access-control-allow-methods"] == method
