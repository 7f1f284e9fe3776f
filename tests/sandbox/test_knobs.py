"""The knobs: what each does, and which values it refuses."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
import requests

from ca_embed.sandbox import Knobs, Sandbox

from .conftest import Partner, Receiver


def test_delays_the_answers(sandbox: Sandbox, partner: Partner) -> None:
    """api_delay delays each response."""
    sandbox.knobs.api_delay = 0.2
    began = time.monotonic()
    partner.create()
    assert time.monotonic() - began >= 0.2


def test_stops_while_an_answer_is_delayed(sandbox: Sandbox, partner: Partner) -> None:
    """stop() ends the delays, so that no caller hangs."""
    sandbox.knobs.api_delay = 3600
    with pytest.raises(requests.Timeout):
        partner.call("POST", "create_session", json=partner.session_body, timeout=0.2)
    sandbox.stop()


@pytest.mark.parametrize("status", [400, 401, 404, 409, 500, 503])
def test_fails_with_a_status(sandbox: Sandbox, partner: Partner, status: int) -> None:
    """With api_status every call fails with this status in the guide's error shape, and does nothing."""
    sandbox.knobs.api_status = status
    answer = partner.create()
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    assert sandbox.sessions == []


def test_asks_to_wait(sandbox: Sandbox, partner: Partner) -> None:
    """With api_retry_after every call that fails by api_status has a Retry-After header, and no other."""
    sandbox.knobs.update({"api_status": 429, "api_retry_after": 120})
    answer = partner.create()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "120")
    assert dict(sandbox.journal[-1].response_headers)["Retry-After"] == "120"
    sandbox.knobs.api_retry_after = None
    assert "Retry-After" not in partner.create().headers
    sandbox.knobs.update({"api_status": None, "api_retry_after": 120})
    assert "Retry-After" not in partner.create().headers


def test_answers_garbage(sandbox: Sandbox, partner: Partner) -> None:
    """With api_garbage every call gets a 200 that is not JSON."""
    sandbox.knobs.api_garbage = True
    answer = partner.create()
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_redirects(sandbox: Sandbox, partner: Partner) -> None:
    """api_redirect redirects callers, and the journal shows who followed."""
    sandbox.knobs.api_redirect = True
    answer = partner.create()
    assert answer.status_code == 307
    assert answer.headers["Location"] == f"{sandbox.base_url}/partner-moved"
    followed = requests.post(answer.headers["Location"], data=b"x", timeout=10)
    assert followed.status_code == 404
    assert [entry.path for entry in sandbox.journal] == [
        "/partner?action=create_session",
        "/partner-moved",
    ]


def test_gives_another_iframe_url(sandbox: Sandbox, partner: Partner) -> None:
    """iframe_url_override is the iframe_url of new sessions."""
    sandbox.knobs.iframe_url_override = "https://evil.example/?s=x"
    assert partner.create().json()["iframe_url"] == "https://evil.example/?s=x"


def test_shortens_the_lives_of_sessions(sandbox: Sandbox, partner: Partner) -> None:
    """A new session expires after expires_in seconds."""
    sandbox.knobs.expires_in = 0
    content = partner.create().json()
    assert datetime.fromisoformat(content["expires_at"]) <= datetime.now(UTC)
    assert partner.result(content["registration_id"]).json() == {"status": "expired"}
    sandbox.knobs.expires_in = 86_400
    left = datetime.fromisoformat(partner.create().json()["expires_at"]) - datetime.now(UTC)
    assert left > timedelta(hours=23)


def test_resets(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """reset() sets every knob back to its default."""
    sandbox.knobs.update({"api_status": 500, "deliveries": "lost", "outcome": "fail"})
    sandbox.knobs.reset()
    assert sandbox.knobs == Knobs()
    sandbox.complete(partner.created())
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_delay", -1),
        ("api_delay", float("nan")),
        ("api_delay", "1"),
        ("api_delay", 10**400),
        ("late_seconds", True),
        ("expires_in", float("inf")),
        ("api_status", 200),
        ("api_status", 500.0),
        ("api_retry_after", -1),
        ("api_retry_after", 1.5),
        ("api_retry_after", True),
        ("api_garbage", 1),
        ("api_redirect", None),
        ("iframe_url_override", 7),
        ("deliveries", "lsot"),
        ("deliveries", ["lost"]),
        ("outcome", None),
    ],
)
def test_refuses_nonsense(name: str, value: object) -> None:
    """A knob refuses a wrong value, and the error says which values are right."""
    knobs = Knobs()
    with pytest.raises(ValueError, match=f"{name} must be"):
        setattr(knobs, name, value)
    assert knobs == Knobs()


def test_knows_its_knobs() -> None:
    """An unknown knob is an error, not a new attribute."""
    with pytest.raises(AttributeError, match="no knob is called 'api_dleay'"):
        Knobs().api_dleay = 1  # type: ignore[attr-defined]


def test_updates_all_or_nothing() -> None:
    """update() sets all knobs or none."""
    knobs = Knobs()
    with pytest.raises(ValueError, match="outcome"):
        knobs.update({"api_delay": 1, "outcome": "maybe"})
    assert asdict(knobs) == asdict(Knobs())
