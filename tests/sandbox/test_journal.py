"""The journal has every call and delivery, and no secret."""

from __future__ import annotations

import json

from ca_embed.sandbox import Sandbox
from ca_embed.sandbox._journal import MASK, Journal

from .conftest import TOKENS, Partner, Receiver


def everything(sandbox: Sandbox) -> str:
    """The whole journal as one text."""
    return "\n".join(map(repr, sandbox.journal))


def test_has_every_call_and_delivery(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """Calls and deliveries are in order, with the headers and bodies of both sides."""
    registration_id = partner.created()
    sandbox.complete(registration_id)
    call, delivery = sandbox.journal
    assert (call.number, call.direction, call.method) == (1, "call", "POST")
    assert call.path == "/partner?action=create_session"
    assert json.loads(call.request_body) == partner.session_body
    assert ("Content-Type", "application/json") in call.request_headers
    assert call.response_status == 200
    assert json.loads(call.response_body)["registration_id"] == registration_id
    assert (delivery.number, delivery.direction, delivery.method) == (2, "delivery", "POST")
    assert delivery.path == f"{receiver.url}/webhook"
    assert ("X-CA-Event-Id", f"evt_{registration_id}_1") in delivery.request_headers
    assert json.loads(delivery.request_body)["app_secret"] == MASK
    assert (delivery.response_status, delivery.response_body) == (200, '{"status": "accepted"}')
    assert call.time < delivery.time


def test_has_refused_calls(sandbox: Sandbox, partner: Partner) -> None:
    """A failed call is in the journal with its error."""
    partner.call("GET", "result", headers={"Authorization": "Bearer fake-mistyped-token"})
    (call,) = sandbox.journal
    assert call.response_status == 401
    assert "fake-mistyped-token" not in repr(call)
    assert ("Authorization", f"Bearer {MASK}") in call.request_headers


def test_never_holds_a_secret(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """No token, app_secret or whole signature is in the journal."""
    registration_id = partner.created(partner_state=f"state with {TOKENS[0]}")
    receiver.answer = sandbox.secret_of(registration_id).encode() + b" echoed"
    sandbox.complete(registration_id)
    partner.result(registration_id)
    partner.call("GET", f"result&token={TOKENS[1]}")
    text = everything(sandbox)
    assert sandbox.secret_of(registration_id) not in text
    assert not any(token in text for token in TOKENS)
    assert receiver.received[0].headers["X-CA-Signature"] not in text
    delivery = sandbox.journal[1]
    assert len(dict(delivery.request_headers)["X-CA-Signature"]) == len("sha256=") + 8 + 1
    assert delivery.response_body == f"{MASK} echoed"


def test_masks_a_secret_that_json_escapes(sandbox: Sandbox, partner: Partner) -> None:
    """A secret with quotes and accents is masked in JSON too."""
    awkward = 'fake "quoted" \\ sécret'
    registration_id = partner.created()
    sandbox.complete(registration_id, app_secret=awkward)
    partner.result(registration_id)
    for piece in ("quoted", "cret\\", "s\\u00e9cret"):
        assert piece not in everything(sandbox)


def test_masks_overridden_secrets(sandbox: Sandbox, partner: Partner) -> None:
    """A secret that only one delivery has is masked by its field's name."""
    sandbox.deliver(partner.created(), payload_overrides={"app_secret": "fake-overriding-value"})
    assert "fake-overriding-value" not in everything(sandbox)


def test_forgets_the_oldest() -> None:
    """It keeps the last 1000 entries, and the numbers go on."""
    journal = Journal()
    for _ in range(1001):
        journal.add("call", "GET", "/partner", request_headers=(), request_body=b"")
    entries = journal.entries()
    assert (len(entries), entries[0].number, entries[-1].number) == (1000, 2, 1001)
    assert [entry.number for entry in journal.entries(after=999)] == [1000, 1001]


def test_no_repr_shows_a_secret(sandbox: Sandbox, partner: Partner) -> None:
    """The repr of the sandbox and of a session has no secret."""
    registration_id = partner.created()
    shown = f"{sandbox!r} {sandbox.session(registration_id)!r} {vars(sandbox)['_deliverer']!r}"
    assert sandbox.secret_of(registration_id) not in shown
    assert not any(token in shown for token in TOKENS)
