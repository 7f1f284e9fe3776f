"""The log page's server side: its state, its buttons, and who may press them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from ca_embed.sandbox import Knobs, Sandbox

from .conftest import TOKENS, Partner, Receiver


def post(sandbox: Sandbox, path: str, content: object = None, **headers: str) -> requests.Response:
    """Press a button of the log page, without a browser."""
    return requests.post(
        f"{sandbox.base_url}/sandbox/{path}", json=content or {}, headers=headers, timeout=20
    )


def state(sandbox: Sandbox, after: object = 0) -> dict[str, Any]:
    """The state that the log page requests."""
    answer = requests.get(f"{sandbox.base_url}/sandbox/state", params={"after": str(after)}, timeout=10)
    content: dict[str, Any] = answer.json()
    return content


def test_serves_the_log_page(sandbox: Sandbox) -> None:
    """The log page has a field for every knob."""
    page = requests.get(f"{sandbox.base_url}/sandbox", timeout=10)
    assert page.status_code == 200
    for name in Knobs.__dataclass_fields__:
        assert f'name="{name}"' in page.text


def test_shows_everything_but_secrets(sandbox: Sandbox, partner: Partner) -> None:
    """Sessions, journal and knobs are shown; secrets are not."""
    registration_id = partner.created()
    sandbox.complete(registration_id)
    shown = state(sandbox)
    assert shown["sessions"][0]["registration_id"] == registration_id
    assert shown["sessions"][0]["status"] == "completed"
    assert [entry["direction"] for entry in shown["journal"]] == ["call", "delivery"]
    assert shown["knobs"] == shown["default_knobs"]
    assert sandbox.secret_of(registration_id) not in str(shown)
    assert not any(token in str(shown) for token in TOKENS)


@pytest.mark.parametrize(("after", "numbers"), [(0, [1, 2]), (1, [2]), (2, []), ("x", [1, 2])])
def test_shows_what_is_new(sandbox: Sandbox, partner: Partner, after: object, numbers: list[int]) -> None:
    """The journal returns the entries after a number."""
    partner.create()
    partner.create()
    assert [entry["number"] for entry in state(sandbox, after)["journal"]] == numbers


def test_turns_knobs(sandbox: Sandbox) -> None:
    """Knobs can be set by JSON, and reset."""
    answer = post(sandbox, "knobs", {"deliveries": "lost", "api_delay": 0.5, "api_status": 503})
    assert answer.status_code == 200
    assert answer.json()["deliveries"] == "lost"
    assert (sandbox.knobs.deliveries, sandbox.knobs.api_delay, sandbox.knobs.api_status) == (
        "lost",
        0.5,
        503,
    )
    assert post(sandbox, "knobs/reset").status_code == 200
    assert sandbox.knobs == Knobs()


@pytest.mark.parametrize("change", [{"deliveries": "lsot"}, {"nonsense": 1}, {"api_delay": None}])
def test_refuses_wrong_knobs(sandbox: Sandbox, change: dict[str, object]) -> None:
    """An unknown knob or value is a 400 that names it."""
    answer = post(sandbox, "knobs", change)
    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert next(iter(change)) in answer.json()["message"]
    assert sandbox.knobs == Knobs()


def test_completes_and_redelivers(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """The buttons complete a session and send its webhook again."""
    registration_id = partner.created()
    assert post(sandbox, f"sessions/{registration_id}/redeliver").status_code == 409
    assert post(sandbox, f"sessions/{registration_id}/complete").json()["status"] == "completed"
    assert post(sandbox, f"sessions/{registration_id}/redeliver").json()["attempts"] == 2
    assert len(receiver.received) == 2


@pytest.mark.parametrize("name", ["suspended", "disconnected", "reconnected"])
def test_sends_a_made_up_event(sandbox: Sandbox, partner: Partner, receiver: Receiver, name: str) -> None:
    """The buttons send a signed event of a completed registration, which says that it is made up."""
    registration_id = partner.created()
    assert post(sandbox, f"sessions/{registration_id}/{name}").status_code == 409
    post(sandbox, f"sessions/{registration_id}/complete")
    assert post(sandbox, f"sessions/{registration_id}/{name}").status_code == 200
    body = json.loads(receiver.received[-1].body)
    assert (body["event"], body["registration_id"]) == (f"made_up.number.{name}", registration_id)
    assert not {"app_id", "app_secret", "phone"} & set(body)


@pytest.mark.parametrize(("action", "event"), [("fail", "failed"), ("cancel", "cancelled")])
def test_ends_a_signup(sandbox: Sandbox, partner: Partner, action: str, event: str) -> None:
    """The buttons fail or cancel a signup, but not after the completion."""
    registration_id = partner.created()
    assert post(sandbox, f"sessions/{registration_id}/{action}").status_code == 200
    assert sandbox.session(registration_id).events[-1].name == event
    sandbox.complete(registration_id, deliver=False)
    assert post(sandbox, f"sessions/{registration_id}/{action}").status_code == 409


def test_expires(sandbox: Sandbox, partner: Partner) -> None:
    """The button expires a session."""
    registration_id = partner.created()
    assert post(sandbox, f"sessions/{registration_id}/expire").json()["status"] == "expired"


@pytest.mark.parametrize(
    "path", ["sessions/aaaaaaaaaaaaaaaaaaaaaa/complete", "sessions/x/nonsense", "nonsense"]
)
def test_knows_nothing_else(sandbox: Sandbox, path: str) -> None:
    """Unknown sessions, actions and paths are a 404."""
    assert post(sandbox, path).status_code == 404


@pytest.mark.parametrize("path", ["knobs", "knobs/reset", "sessions/{id}/complete", "sessions/{id}/expire"])
@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}],
)
def test_refuses_other_sites_pages(
    sandbox: Sandbox, partner: Partner, path: str, headers: dict[str, str]
) -> None:
    """A foreign page cannot press a button."""
    registration_id = partner.created()
    sandbox.knobs.api_delay = 0.01
    answer = post(sandbox, path.format(id=registration_id), {"api_delay": 1}, **headers)
    assert answer.status_code == 403
    assert sandbox.session(registration_id).status == "started"
    assert sandbox.knobs.api_delay == 0.01


def test_lets_no_rebound_name_read(sandbox: Sandbox) -> None:
    """The journal cannot be read with a foreign Host."""
    answer = requests.get(f"{sandbox.base_url}/sandbox/state", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 403
