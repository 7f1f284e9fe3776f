"""How many sessions one user's page may open, and the random state that each of them carries."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ca_embed import Embed
from ca_embed._vault.session_limit import record_id
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from ca_embed.storage._base import SealedRecord
from tests.doors.clients import Answer, Client, WsgiClient
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OWN_ORIGIN, USER, Clock, at_sandbox, closing, delivery


def opened(client: Client) -> Answer:
    """Open a session, as a page does."""
    return client.post("/sessions", b"{}", Origin=OWN_ORIGIN)


def statuses(client: Client, times: int) -> list[int]:
    """The statuses of so many sessions."""
    return [opened(client).status for _ in range(times)]


def test_ten_in_ten_minutes(client_of: ClientOf, sandbox: Sandbox) -> None:
    """The eleventh session gets 429 with the seconds to wait. ChatArchitect is not asked."""
    clock = Clock()
    client = client_of(at_sandbox(sandbox, clock=clock))
    assert statuses(client, 5) == [201] * 5
    clock.advance(60.5)
    assert statuses(client, 5) == [201] * 5
    refused = opened(client)
    assert (refused.status, refused.code) == (429, "too_many_sessions")
    assert refused.headers["retry-after"] == "540"
    assert refused.headers["access-control-allow-origin"] == OWN_ORIGIN
    assert len(sandbox.sessions) == 10
    clock.advance(540)
    assert statuses(client, 6) == [201] * 5 + [429]


def test_each_user_has_a_limit(client_of: ClientOf, sandbox: Sandbox) -> None:
    """One user's sessions do not count for another user."""
    users = iter(["ada", "ada", "bob", "ada"])
    client = client_of(at_sandbox(sandbox, identify=lambda native: next(users), session_limit=(2, 60)))
    assert statuses(client, 4) == [201, 201, 201, 429]


def test_what_does_not_count(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Wrong bodies, looking at a session, and calls from Python do not count."""
    client = client_of(embed := at_sandbox(sandbox, session_limit=(1, 60)))
    assert client.post("/sessions", b"[]").status == 400
    registration_id = embed.create_session(USER).registration_id
    assert client.get(f"/sessions/{registration_id}").status == 200
    assert statuses(client, 2) == [201, 429]
    embed.create_session(USER)


def test_no_limit(client_of: ClientOf, sandbox: Sandbox) -> None:
    """With None, a user may open any number, and the storage counts nothing."""
    client = client_of(at_sandbox(sandbox, storage=(storage := MemoryStorage()), session_limit=None))
    assert statuses(client, 12) == [201] * 12
    assert storage.load(record_id(USER)) is None


def test_over_all_processes(sandbox: Sandbox, tmp_path: Path) -> None:
    """Of 24 sessions at once, at two Embeds on one storage, exactly ten are opened."""
    embeds = [at_sandbox(sandbox, storage=f"sqlite:///{tmp_path}/r.db") for _ in range(2)]
    with closing(*embeds), ThreadPoolExecutor(8) as pages:
        counted = Counter(pages.map(_counted, embeds * 12))
    assert counted == {True: 10, False: 14}


def _counted(embed: Embed) -> bool:
    from ca_embed.errors import TooManySessions

    try:
        embed._core.session_limit.count(USER)
    except TooManySessions:
        return False
    return True


def test_a_clock_that_is_ahead(sandbox: Sandbox) -> None:
    """A session that was counted a day ahead does not lock its user out for longer than the limit says."""
    storage, right = MemoryStorage(), Clock()
    ahead = Clock(right() + 86_400)
    embeds = [
        at_sandbox(sandbox, storage=storage, clock=clock, session_limit=(2, 600)) for clock in (ahead, right)
    ]
    with closing(*embeds):
        early, late = (WsgiClient(embed.wsgi) for embed in embeds)
        assert statuses(early, 2) == [201, 201]
        refused = opened(late)
        assert (refused.status, refused.headers["retry-after"]) == (429, "600")
        right.advance(601)
        assert statuses(late, 3) == [201, 201, 429]


def test_the_record_stays_small(client_of: ClientOf, sandbox: Sandbox) -> None:
    """The record holds the times that still count, and is never due."""
    storage, clock = MemoryStorage(), Clock()
    client = client_of(at_sandbox(sandbox, storage=storage, clock=clock, session_limit=(3, 60)))
    for _ in range(4):
        statuses(client, 4)
        clock.advance(61)
    record = storage.load(record_id(USER))
    assert record is not None
    assert (record.user_id, record.due_at) == (None, None)
    assert json.loads(record.document) == {"v": 1, "times": [clock() - 61] * 3}
    assert USER not in record.registration_id


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"times": 5}', b'{"times": ["x"]}', b"\xff"])
def test_a_record_that_cannot_be_read(client_of: ClientOf, sandbox: Sandbox, document: bytes) -> None:
    """A damaged record counts no session, and is replaced."""
    storage = MemoryStorage()
    storage.save(SealedRecord(record_id(USER), 1, None, None, document))
    client = client_of(at_sandbox(sandbox, storage=storage, session_limit=(1, 60)))
    assert statuses(client, 2) == [201, 429]


def test_forgetting_the_count(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Erasing a user removes the record that counts the user's sessions."""
    storage = MemoryStorage()
    client = client_of(embed := at_sandbox(sandbox, storage=storage, session_limit=(1, 60)))
    assert statuses(client, 2) == [201, 429]
    assert embed.forget(USER) == 1
    assert storage.load(record_id(USER)) is None
    assert embed.forget(USER) == 0


def test_the_state_of_a_session(client_of: ClientOf, sandbox: Sandbox) -> None:
    """Each session carries another random state of 128 bits. A webhook without it is refused."""
    client = client_of(embed := at_sandbox(sandbox))
    assert statuses(client, 2) == [201, 201]
    one, other = sandbox.sessions
    assert one.partner_state
    assert one.partner_state != other.partner_state
    assert len(one.partner_state) == 22  # 6 bits each
    forged = {"token": sandbox.partner_token, "registration_id": one.registration_id, "partner_user_id": USER}
    for state in (None, other.partner_state):
        refused = client.deliver(delivery(partner_state=state, **forged))
        assert (refused.status, refused.code) == (409, "mismatched_session")
    sandbox.complete(one.registration_id, deliver=False)
    assert client.deliver(sandbox.signed_webhook(one.registration_id)).json == {"status": "accepted"}
    assert embed.credentials(one.registration_id) is not None
