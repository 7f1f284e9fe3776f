"""`create-session`, `result`, `retry-webhook`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ca_embed import PartnerClient

Run = Callable[..., Any]


def test_create_session(operate: Run, world: Any) -> None:
    """A session is opened with the given options, stored, and printed with its iframe's URL."""
    ran = operate(
        "create-session", "user_456", "--lang", "es", "--integration", "My CRM", "--partner-state", "s1"
    )
    (session,) = world.sandbox.sessions

    assert (ran.code, ran.err) == (0, "")
    assert f"iframe_url       {world.sandbox.base_url}/?s={session.registration_id}" in ran.out
    assert (session.partner_user_id, session.lang, session.integration) == ("user_456", "es", "My CRM")
    assert world.embed.registration(session.registration_id).partner_state == "s1"


def test_create_session_json(operate: Run) -> None:
    """With --json the session is one JSON document."""
    session = json.loads(operate("create-session", "user_456", "--json").out)

    assert list(session) == ["registration_id", "iframe_url", "expires_at", "status"]
    assert session["status"] == "started"


def test_create_session_for_a_foreign_origin(operate: Run) -> None:
    """An origin that is not allowed is wrong usage."""
    ran = operate("create-session", "user_456", "--parent-origin", "https://evil.example")

    assert (ran.code, ran.out) == (2, "")
    assert "parent_origins" in ran.err


def test_create_session_refused(operate: Run, world: Any) -> None:
    """A failing Partner API is a failure with one line."""
    world.sandbox.knobs.api_status = 503
    ran = operate("create-session", "user_456")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1


def test_result_of_an_open_session(operate: Run, world: Any) -> None:
    """The result of an open registration has the status and nothing else."""
    session = world.session()
    world.sandbox.advance(session.registration_id, "phone_verified")
    ran = operate("result", session.registration_id, "--json")

    assert ran.code == 0
    assert json.loads(ran.out) == {"registration_id": session.registration_id, "status": "phone_verified"}


def test_result_of_a_completed_registration(operate: Run, world: Any) -> None:
    """The result shows the app_id but not the secret."""
    registration_id = world.completed()
    ran = operate("result", registration_id, "--json")
    shown = json.loads(ran.out)

    assert ran.code == 0
    assert shown["app_id"] == world.sandbox.session(registration_id).app_id
    assert set(shown) == {"registration_id", "status", "app_id", "phone", "integration", "completed_at"}


def test_result_under_an_older_token(operate: Run, world: Any) -> None:
    """A registration of an older token is found with that token."""
    with PartnerClient(world.sandbox.base_url, "fake-partner-token-old") as client:
        session = client.create_session(
            parent_origin="http://127.0.0.1", webhook_url="http://127.0.0.1/chatarchitect/webhook"
        )
    ran = operate("result", session.registration_id)

    assert ran.code == 0
    assert "started" in ran.out


def test_result_of_an_unknown_registration(operate: Run) -> None:
    """A registration unknown to all tokens exits with 1, and the error says what to check."""
    ran = operate("result", "a" * 22)

    assert (ran.code, ran.out) == (1, "")
    assert "not known there" in ran.err


def test_malformed_registration_id(operate: Run) -> None:
    """A malformed registration id is wrong usage, and is not sent."""
    assert operate("result", "../x").code == 2
    assert operate("retry-webhook", "a b").code == 2


def test_retry_webhook(operate: Run, world: Any) -> None:
    """If the webhook is sent again and arrives, the exit code is 0."""
    ran = operate("retry-webhook", world.completed(), "--json")
    told = json.loads(ran.out)

    assert ran.code == 0
    assert (told["status"], told["attempts"], told["last_error"]) == ("sent", 2, "")


def test_retry_webhook_too_early(operate: Run, world: Any) -> None:
    """Before the completion the exit code is 1, and the error says why."""
    ran = operate("retry-webhook", world.session().registration_id)

    assert (ran.code, ran.out) == (1, "")
    assert "not completed yet" in ran.err


def test_retry_webhook_that_does_not_arrive(operate: Run, world: Any) -> None:
    """If the webhook does not arrive, the exit code is 1, and the output says why."""
    registration_id = world.completed()
    world.sandbox.knobs.deliveries = "lost"
    ran = operate("retry-webhook", registration_id)

    assert ran.code == 1
    assert "lost on the way" in ran.out
