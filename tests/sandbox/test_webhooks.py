"""The webhooks of the sandbox, checked by the guide's formula and at a receiver."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime

import pytest

from ca_embed.sandbox import Sandbox
from ca_embed.sandbox._delivery import signature

from .conftest import TOKENS, Partner, Received, Receiver, wait_until

VECTOR = "sha256=1415c8a844065f72c262474c379d2eeca9ab54dd81ffd9f43e4b5d73c319f266"  # by the openssl command


def fits(webhook: Received, token: str) -> bool:
    """Compute the guide's formula independently."""
    signed = webhook.headers["X-CA-Timestamp"].encode() + b"." + webhook.body
    expected = hmac.new(token.encode(), signed, hashlib.sha256).hexdigest()
    return f"sha256={expected}" == webhook.headers["X-CA-Signature"]


def test_signs_a_fixed_vector() -> None:
    """The signature of known bytes is the one that the openssl command computes."""
    assert signature(TOKENS[0], "1783159200", b'{"event":"x"}') == VECTOR


def test_delivers_what_the_guide_shows(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """A completion sends the guide's nine fields and four headers, with a new signature."""
    registration_id = partner.created()
    before = int(time.time())
    (delivery,) = sandbox.complete(
        registration_id,
        app_id="ca_app_123",
        phone="421233221242",
        completed_at=datetime(2026, 7, 4, 10, 0, tzinfo=UTC),
    )
    (webhook,) = receiver.received
    assert webhook.path == "/webhook"
    assert webhook.payload == {
        "event": "whatsapp.registration.completed",
        "registration_id": registration_id,
        "partner_user_id": "user_456",
        "partner_state": "opaque-state-value",
        "app_id": "ca_app_123",
        "app_secret": sandbox.secret_of(registration_id),
        "phone": "421233221242",
        "integration": "My CRM",
        "completed_at": "2026-07-04T10:00:00+00:00",
    }
    assert webhook.headers["Content-Type"] == "application/json"
    assert webhook.headers["X-CA-Event-Id"] == f"evt_{registration_id}_1"
    assert before <= int(webhook.headers["X-CA-Timestamp"]) <= int(time.time())
    assert fits(webhook, TOKENS[0])
    assert (delivery.status_code, delivery.attempt, delivery.error) == (200, 1, "")
    assert json.loads(delivery.body) == {"status": "accepted"}


def test_signs_with_the_token_that_opened_the_session(
    sandbox: Sandbox, other_partner: Partner, receiver: Receiver
) -> None:
    """Each partner's webhooks are signed with its own token."""
    sandbox.complete(other_partner.created())
    (webhook,) = receiver.received
    assert fits(webhook, TOKENS[1])
    assert not fits(webhook, TOKENS[0])


def test_signs_with_the_token_of_the_change(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """After change_tokens() the webhooks of all sessions are signed with `signing`, or the first token."""
    registration_id = partner.created()
    sandbox.change_tokens(["fake-partner-token-new", partner.token])
    sandbox.complete(registration_id)
    sandbox.change_tokens(["fake-partner-token-new"], signing=partner.token)
    sandbox.complete(registration_id)
    first, second = receiver.received
    assert fits(first, "fake-partner-token-new")
    assert fits(second, partner.token)


def test_returns_text_unchanged(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """The partner's texts come back unchanged, as raw UTF-8."""
    state = 'žluť/"\\\u2028 \U0001f600'
    sandbox.complete(partner.created(partner_state=state, partner_user_id=""))
    (webhook,) = receiver.received
    assert (webhook.payload["partner_state"], webhook.payload["partner_user_id"]) == (state, "")
    assert "žluť".encode() in webhook.body


def test_gives_every_session_its_own_secret(sandbox: Sandbox, partner: Partner) -> None:
    """Each app_secret is random, so that a test can search for it."""
    secrets = {sandbox.secret_of(partner.created()) for _ in range(5)}
    assert len(secrets) == 5
    assert min(map(len, secrets)) >= 20


def test_completes_again_with_other_credentials(
    sandbox: Sandbox, partner: Partner, receiver: Receiver
) -> None:
    """A second completion delivers the given values, and the result call has the same."""
    registration_id = partner.created()
    sandbox.complete(registration_id)
    sandbox.complete(registration_id, app_secret="fake_newer_secret")
    assert receiver.received[1].payload["app_secret"] == "fake_newer_secret"
    assert partner.result(registration_id).json()["app_secret"] == "fake_newer_secret"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_takes_any_2xx(sandbox: Sandbox, partner: Partner, receiver: Receiver, status: int) -> None:
    """Any 2xx counts as accepted."""
    receiver.status, receiver.answer = status, b""
    registration_id = partner.created()
    (delivery,) = sandbox.complete(registration_id)
    assert (delivery.status_code, delivery.error) == (status, "")
    assert sandbox.session(registration_id).last_error == ""


@pytest.mark.parametrize("status", [302, 400, 401, 500])
def test_remembers_a_refusal_and_leaves_it(
    sandbox: Sandbox, partner: Partner, receiver: Receiver, status: int
) -> None:
    """Another status is noted; no redirect is followed, and nothing is sent again."""
    receiver.status = status
    receiver.answer_headers = {"Location": f"{receiver.url}/elsewhere"}
    registration_id = partner.created()
    (delivery,) = sandbox.complete(registration_id)
    assert (delivery.status_code, delivery.error) == (status, f"HTTP {status}")
    assert sandbox.session(registration_id).last_error == f"HTTP {status}"
    assert [webhook.path for webhook in receiver.received] == ["/webhook"]


def test_remembers_an_unreachable_receiver(sandbox: Sandbox, partner: Partner) -> None:
    """An unreachable receiver is an error without a status."""
    registration_id = partner.created(webhook_url="http://127.0.0.1:9/webhook")
    (delivery,) = sandbox.complete(registration_id)
    assert delivery.status_code is None
    assert "could not be delivered" in delivery.error
    assert sandbox.session(registration_id).last_error == delivery.error


def test_forgets_an_error_after_a_success(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """last_error is the last attempt's."""
    registration_id = partner.created()
    receiver.status = 500
    sandbox.complete(registration_id)
    receiver.status = 200
    assert sandbox.deliver(registration_id).attempt == 2
    assert sandbox.session(registration_id).last_error == ""
    assert sandbox.session(registration_id).attempts == 2


def test_builds_a_webhook_without_sending_it(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """signed_webhook returns the next delivery."""
    registration_id = partner.created()
    sandbox.complete(registration_id, deliver=False)
    headers, body = sandbox.signed_webhook(registration_id)
    assert receiver.received == []
    assert sandbox.session(registration_id).attempts == 0
    assert headers["X-CA-Event-Id"] == f"evt_{registration_id}_1"
    assert fits(Received("", headers, body), TOKENS[0])
    assert json.loads(body)["app_id"] == sandbox.session(registration_id).app_id


def test_lets_a_test_change_a_webhook(sandbox: Sandbox, partner: Partner) -> None:
    """Timestamp, token, event id and fields can be overridden; the signature follows."""
    headers, body = sandbox.signed_webhook(
        partner.created(),
        timestamp=1234567890,
        token="fake-other-token",
        event_id="evt_other",
        payload_overrides={"app_id": 7, "added": None, "phone": ...},
    )
    payload = json.loads(body)
    assert (payload["app_id"], payload["added"], "phone" in payload) == (7, None, False)
    assert (headers["X-CA-Timestamp"], headers["X-CA-Event-Id"]) == ("1234567890", "evt_other")
    assert fits(Received("", headers, body), "fake-other-token")


class TestDeliveriesKnob:
    def test_lost(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """A lost webhook is counted and never arrives; a later retry arrives."""
        sandbox.knobs.deliveries = "lost"
        registration_id = partner.created()
        (delivery,) = sandbox.complete(registration_id)
        assert (delivery.status_code, delivery.error) == (None, "lost on the way")
        assert receiver.received == []
        sandbox.knobs.reset()
        assert partner.retry(registration_id).json()["attempts"] == 2
        assert len(receiver.received) == 1

    def test_duplicate(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """A duplicate is the same request, twice."""
        sandbox.knobs.deliveries = "duplicate"
        deliveries = sandbox.complete(partner.created())
        first, second = receiver.received
        assert [delivery.attempt for delivery in deliveries] == [1, 1]
        assert (first.body, first.headers) == (second.body, second.headers)

    def test_late(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """A late webhook arrives after the call returned, and is signed when it is sent."""
        sandbox.knobs.deliveries = "late"
        sandbox.knobs.late_seconds = 0.2
        assert sandbox.complete(partner.created()) == ()
        (webhook,) = receiver.wait_for(1)
        assert fits(webhook, TOKENS[0])

    def test_late_and_stopped(self, partner: Partner, sandbox: Sandbox, receiver: Receiver) -> None:
        """stop() does not wait for a late webhook."""
        sandbox.knobs.deliveries = "late"
        sandbox.knobs.late_seconds = 3600
        sandbox.complete(partner.created())
        sandbox.stop()
        assert receiver.received == []

    def test_wrong_signature(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """A wrong signature has the right form, but fits no token."""
        sandbox.knobs.deliveries = "wrong_signature"
        sandbox.complete(partner.created())
        (webhook,) = receiver.received
        assert len(webhook.headers["X-CA-Signature"]) == len("sha256=") + 64
        assert not any(fits(webhook, token) for token in TOKENS)

    def test_stale_timestamp(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """A stale webhook has a right signature from an hour ago."""
        sandbox.knobs.deliveries = "stale_timestamp"
        sandbox.complete(partner.created())
        (webhook,) = receiver.received
        assert fits(webhook, TOKENS[0])
        assert int(webhook.headers["X-CA-Timestamp"]) <= time.time() - 3600

    def test_leaves_deliver_alone(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """`deliver` ignores the knobs."""
        sandbox.knobs.deliveries = "lost"
        assert sandbox.deliver(partner.created()).status_code == 200
        wait_until(lambda: len(receiver.received) == 1)
