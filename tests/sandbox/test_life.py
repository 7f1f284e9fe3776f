"""Starting, stopping and driving the sandbox from Python."""

from __future__ import annotations

import socket

import pytest
import requests

from ca_embed.sandbox import Sandbox

from .conftest import TOKENS, Partner, Receiver


def test_starts_and_stops() -> None:
    """It answers between start and stop, and not afterwards."""
    sandbox = Sandbox().start()
    assert requests.get(f"{sandbox.base_url}/sandbox", timeout=10).status_code == 200
    sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{sandbox.base_url}/sandbox", timeout=10)
    sandbox.stop()


def test_keeps_its_address_and_its_sessions(partner: Partner, sandbox: Sandbox) -> None:
    """After a stop it starts again at the same address with the same sessions."""
    registration_id = partner.created()
    base_url = sandbox.base_url
    sandbox.stop()
    sandbox.start()
    assert sandbox.base_url == base_url
    assert partner.result(registration_id).json() == {"status": "started"}


def test_delivers_late_after_a_restart(partner: Partner, sandbox: Sandbox, receiver: Receiver) -> None:
    """After a stop and a start, background jobs run again."""
    registration_id = partner.created()
    sandbox.stop()
    sandbox.start()
    sandbox.knobs.deliveries = "late"
    sandbox.knobs.late_seconds = 0.01
    sandbox.complete(registration_id)
    assert len(receiver.wait_for(1)) == 1


def test_does_not_start_twice(sandbox: Sandbox) -> None:
    """A second start is an error, not a second server."""
    with pytest.raises(RuntimeError, match="already running"):
        sandbox.start()


def test_says_that_a_port_is_taken() -> None:
    """A port that is in use is an OSError, not an exit."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()


def test_has_no_address_before_it_starts() -> None:
    """The address is known after the start."""
    with pytest.raises(RuntimeError, match="start the sandbox first"):
        _ = Sandbox().base_url


def test_listens_on_ipv6() -> None:
    """An IPv6 address stands in brackets."""
    with Sandbox(host="::1") as sandbox:
        assert sandbox.base_url.startswith("http://[::1]:")
        assert requests.get(f"{sandbox.base_url}/sandbox", timeout=10).status_code == 200


def test_gives_an_address_that_opens_when_it_listens_everywhere() -> None:
    """Bound to every interface, its base_url is this machine."""
    with Sandbox(host="0.0.0.0") as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")
        assert requests.get(f"{sandbox.base_url}/sandbox", timeout=10).status_code == 200


@pytest.mark.parametrize("tokens", [[], [""], ["with space"], ["t\u00f6ken"], "fake-partner-token-one"])
def test_wants_tokens(tokens: list[str]) -> None:
    """No token, a token that no header can hold, and a single text are refused."""
    with pytest.raises(ValueError, match="partner_tokens"):
        Sandbox(partner_tokens=tokens)


def test_gives_the_first_token(sandbox: Sandbox) -> None:
    """partner_token is the first of several."""
    assert sandbox.partner_token == TOKENS[0]


def test_changes_tokens(
    sandbox: Sandbox, receiver: Receiver, partner: Partner, other_partner: Partner
) -> None:
    """change_tokens() sets the first partner's tokens. Every partner keeps its sessions."""
    registration_id = partner.created()
    renewed = Partner(sandbox, receiver, "fake-partner-token-new")
    assert renewed.result(registration_id).status_code == 401
    sandbox.change_tokens([partner.token, renewed.token])
    for either in (partner, renewed):
        assert either.result(registration_id).json() == {"status": "started"}
    sandbox.change_tokens([renewed.token])
    assert partner.result(registration_id).status_code == 401
    assert renewed.result(registration_id).json() == {"status": "started"}
    assert sandbox.partner_token == renewed.token
    assert other_partner.create().status_code == 200
    assert other_partner.result(registration_id).status_code == 404


@pytest.mark.parametrize("accepted", [[], [""], ["with space"], "text", [TOKENS[1]]])
def test_changes_to_no_other_tokens(sandbox: Sandbox, partner: Partner, accepted: list[str]) -> None:
    """change_tokens() refuses what no header can hold, and another partner's token."""
    with pytest.raises(ValueError, match="accepted must"):
        sandbox.change_tokens(accepted)
    with pytest.raises(ValueError, match="signing must"):
        sandbox.change_tokens(["fake-partner-token-new"], signing="")
    assert partner.create().status_code == 200


def test_lists_the_sessions(sandbox: Sandbox, partner: Partner) -> None:
    """`sessions` has all sessions, the oldest first."""
    ids = [partner.created() for _ in range(3)]
    assert [session.registration_id for session in sandbox.sessions] == ids


@pytest.mark.parametrize("method", ["session", "secret_of", "complete", "expire", "cancel", "deliver"])
def test_knows_no_other_session(sandbox: Sandbox, method: str) -> None:
    """An unknown id is a LookupError that names it."""
    with pytest.raises(LookupError, match="no session 'nonsense'"):
        getattr(sandbox, method)("nonsense")


def test_advances_only_in_progress(sandbox: Sandbox, partner: Partner) -> None:
    """advance() refuses completion and expiry, and a completed session does not change."""
    registration_id = partner.created()
    for status in ("completed", "expired", "nonsense"):
        with pytest.raises(ValueError, match="must be one of"):
            sandbox.advance(registration_id, status)
    sandbox.complete(registration_id, deliver=False)
    for jump in (
        lambda: sandbox.advance(registration_id, "started"),
        lambda: sandbox.fail(registration_id, "x"),
        lambda: sandbox.cancel(registration_id),
    ):
        with pytest.raises(ValueError, match="is completed; this step needs"):
            jump()


def test_completes_what_is_expired(sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
    """Python can complete an expired session; it is then completed."""
    registration_id = partner.created()
    sandbox.expire(registration_id)
    sandbox.complete(registration_id)
    assert sandbox.session(registration_id).status == "completed"
    assert partner.result(registration_id).json()["status"] == "completed"
    assert len(receiver.received) == 1
