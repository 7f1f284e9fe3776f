"""Which of several partner tokens makes a call."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ca_embed._partner import clients as partner_clients
from ca_embed._partner.client import Result
from ca_embed._partner.clients import PartnerClients
from ca_embed._partner.transport import PartnerHttp
from ca_embed._webhook import token_id
from ca_embed.errors import InvalidArgument, PartnerError, PartnerRejected, PartnerTimeout
from tests.partner.raw_server import SESSION_ID, RawServer, http, silent

NEW, OLD, OLDEST = "fake-partner-token-new", "fake-partner-token-old", "fake-partner-token-oldest"
ORIGIN, WEBHOOK = "https://partner.example", "https://partner.example/webhook"

UNAUTHORIZED = http({"status": "error", "message": "Missing or invalid Bearer token"}, "401 Unauthorized")
STARTED = http({"status": "started"})
SENT = http({"status": "sent", "attempts": 1, "last_error": ""})


@pytest.fixture
def clients(server: RawServer) -> Iterator[PartnerClients]:
    """Clients with three tokens, the newest first."""
    several = PartnerClients(server.base_url, [NEW, OLD, OLDEST])
    yield several
    several.close()


def created(server: RawServer) -> bytes:
    """Return the response to create_session."""
    return http(
        {
            "registration_id": SESSION_ID,
            "iframe_url": f"{server.base_url}/?s={SESSION_ID}",
            "expires_at": "2026-07-05T10:00:00+00:00",
            "status": "started",
        }
    )


def create(clients: PartnerClients) -> object:
    """Create a session."""
    return clients.create_session(parent_origin=ORIGIN, webhook_url=WEBHOOK)


def ask(clients: PartnerClients, creator: str = OLD) -> object:
    """Ask about a session that one of the tokens created."""
    return clients.result(token_id(creator), SESSION_ID)


def retry(clients: PartnerClients, creator: str = OLD) -> object:
    """Retry the webhook of a session that one of the tokens created."""
    return clients.retry_webhook(token_id(creator), SESSION_ID)


ALL_CALLS = pytest.mark.parametrize("call", [create, ask, retry])


def tried(server: RawServer) -> list[str]:
    """Return the tokens of the requests, and forget the requests."""
    tokens = [re.findall(rb"Authorization: Bearer (\S+)", request)[0].decode() for request in server.requests]
    server.requests.clear()
    return tokens


def test_the_first_token_that_is_accepted_creates(clients: PartnerClients, server: RawServer) -> None:
    """A 401 to one token is followed by the next, and the result names the token that was accepted."""
    server.answers = [UNAUTHORIZED, created(server)]
    session, identity = clients.create_session(parent_origin=ORIGIN, webhook_url=WEBHOOK)
    assert (session.registration_id, identity) == (SESSION_ID, token_id(OLD))
    assert tried(server) == [NEW, OLD]


@pytest.mark.parametrize(("call", "answer"), [(ask, STARTED), (retry, SENT)])
def test_the_token_that_created_a_session_comes_first(
    clients: PartnerClients, server: RawServer, call: Callable[[PartnerClients], object], answer: bytes
) -> None:
    """Calls about a session try its own token first, then the others, the newest first."""
    server.answers = [answer]
    call(clients)
    assert tried(server) == [OLD]
    server.answers = [UNAUTHORIZED, UNAUTHORIZED, answer]
    call(clients)
    assert tried(server) == [OLD, NEW, OLDEST]


def test_a_session_of_a_token_that_was_removed(clients: PartnerClients, server: RawServer) -> None:
    """If the token that created a session is not configured, the newest comes first."""
    server.answers = [STARTED]
    assert ask(clients, "fake-partner-token-removed") == Result("started")
    assert tried(server) == [NEW]


def test_a_refused_token_is_tried_last(
    clients: PartnerClients,
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A token that was refused is tried after the others for a time, also by calls about its sessions."""
    server.answers = [UNAUTHORIZED, created(server)]
    create(clients)
    assert tried(server) == [NEW, OLD]
    assert caplog.messages == ["partner reason=token_refused token=0; the next one is tried"]
    for call in (create, lambda clients: ask(clients, NEW)):
        server.answers = [created(server)]
        call(clients)
        assert tried(server) == [OLD]
    monkeypatch.setattr(partner_clients, "TRIED_LAST_FOR", 0.0)
    create(clients)
    assert tried(server) == [NEW]


def test_a_refused_token_that_is_accepted_again(clients: PartnerClients, server: RawServer) -> None:
    """As soon as a refused token is accepted, it has its own place again."""
    server.answers = [UNAUTHORIZED, created(server)]
    create(clients)
    server.requests.clear()
    server.answers = [UNAUTHORIZED, UNAUTHORIZED, created(server), created(server)]
    create(clients)
    create(clients)
    assert tried(server) == [OLD, OLDEST, NEW, NEW]


@ALL_CALLS
@pytest.mark.parametrize("status", [307, 400, 403, 404, 409, 429, 500, 503])
def test_only_a_401_is_followed_by_the_next(
    clients: PartnerClients, server: RawServer, call: Callable[[PartnerClients], object], status: int
) -> None:
    """Any other failure is raised at once."""
    server.answers = [http({}, f"{status} Oops"), STARTED]
    with pytest.raises(PartnerError, match=str(status)):
        call(clients)
    assert len(server.requests) == 1


@ALL_CALLS
def test_no_token_is_accepted(
    clients: PartnerClients, server: RawServer, call: Callable[[PartnerClients], object]
) -> None:
    """If every token is refused, the call raises PartnerRejected with the status 401."""
    server.answers = [UNAUTHORIZED]
    for _ in range(2):
        with pytest.raises(PartnerRejected, match="check partner_token") as refusal:
            call(clients)
        assert refusal.value.partner_status == 401
        assert sorted(tried(server)) == [NEW, OLD, OLDEST]


def test_wrong_arguments_are_not_sent(clients: PartnerClients, server: RawServer) -> None:
    """A wrong argument is refused before any token is used."""
    with pytest.raises(InvalidArgument):
        clients.result(token_id(OLD), "../other")
    assert server.requests == []


def test_all_tokens_share_one_deadline(
    clients: PartnerClients, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next token has only the time that the refused one has left."""
    given: list[float] = []
    send = PartnerHttp.call

    def call(http: PartnerHttp, *args: Any, seconds: float, **kwargs: Any) -> Any:
        given.append(seconds)
        return send(http, *args, seconds=seconds, **kwargs)

    def refuse_late(connection: socket.socket, stop: threading.Event) -> None:
        stop.wait(0.2)
        connection.sendall(UNAUTHORIZED)

    monkeypatch.setattr(PartnerHttp, "call", call)
    monkeypatch.setattr(partner_clients, "CREATE_DEADLINE", 0.6)
    server.answers = [refuse_late, silent]
    with pytest.raises(PartnerTimeout):
        create(clients)
    assert tried(server) == [NEW, OLD]
    assert given[0] <= 0.6
    assert given[1] <= given[0] - 0.2


def test_no_log_shows_a_token(
    clients: PartnerClients, server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The log of a refused token has its place and not the token."""
    caplog.set_level(logging.DEBUG)
    server.answers = [UNAUTHORIZED]
    with pytest.raises(PartnerRejected) as refusal:
        create(clients)
    for token in (NEW, OLD, OLDEST):
        assert token not in caplog.text + str(refusal.value)
