"""The partner token is changed while users register, in the order that docs/operations.md describes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ca_embed import Embed
from ca_embed._webhook import token_id
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import DOORS, Client, WsgiClient
from tests.flow.kit import OLD_TOKEN, TOKEN, Clock, at_sandbox, closing, wait_until

OLD, NEW = OLD_TOKEN, TOKEN
ONLY_OLD, BOTH, ONLY_NEW = [OLD], [NEW, OLD], [NEW]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A ChatArchitect that knows the old token."""
    with Sandbox(partner_tokens=[OLD]) as running:
        yield running


def creator(embed: Embed, registration_id: str) -> str:
    """Return the token under which a registration is stored."""
    state = embed._core.ledger.load(registration_id)
    assert state is not None
    return {token_id(OLD): OLD, token_id(NEW): NEW}[state.token_id]


def test_the_accepted_token_is_stored(sandbox: Sandbox) -> None:
    """A session is stored with the token that created it, by both ways to create one."""
    with closing(embed := at_sandbox(sandbox, partner_token=BOTH)):
        client = WsgiClient(embed.wsgi)
        for accepted, token in ((ONLY_OLD, OLD), (ONLY_NEW, NEW)):
            sandbox.change_tokens(accepted)
            assert creator(embed, embed.create_session("user_456").registration_id) == token
            assert creator(embed, client.post("/sessions").json["registration_id"]) == token
        client.close()


def test_sessions_from_before_the_change(sandbox: Sandbox) -> None:
    """Old sessions are asked about, and their webhooks are retried, when only the new token is accepted."""
    clock = Clock()
    with closing(embed := at_sandbox(sandbox, partner_token=BOTH, clock=clock)):
        lost, late = (embed.create_session("user_456").registration_id for _ in range(2))
        sandbox.complete(lost, deliver=False)
        sandbox.complete(late, deliver=False)
        sandbox.change_tokens(ONLY_NEW)
        assert embed.retry_webhook(late).attempts == 1
        clock.advance(60)
        done = embed.reconcile()
        assert (done.completed, done.unanswered) == (2, 0)
        for registration_id in (lost, late):
            credentials = embed.credentials(registration_id)
            assert credentials is not None
            assert credentials.app_secret == sandbox.secret_of(registration_id)


class Users:
    """Users who register again and again at one process, at both doors, and what went wrong."""

    def __init__(self, sandbox: Sandbox, embed: Embed) -> None:
        self.rounds = 0
        self.troubles: list[str] = []
        self._sandbox, self._embed = sandbox, embed
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._register, args=(door,)) for door in DOORS]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _register(self, door: str) -> None:
        client = DOORS[door](self._embed)
        open_id = ""
        try:
            while not self._stop.is_set():
                created = client.post("/sessions")
                if created.status != 201:
                    self.troubles.append(f"session {created.status}")
                    continue
                # The session of the round before is completed now: a change may lie between.
                if open_id:
                    self._complete(client, open_id)
                open_id = created.json["registration_id"]
                self.rounds += 1
        except Exception as error:  # noqa: BLE001 (the test fails with it)
            self.troubles.append(repr(error))
        finally:
            client.close()

    def _complete(self, client: Client, registration_id: str) -> None:
        self._sandbox.complete(registration_id, deliver=False)
        delivered = client.deliver(self._sandbox.signed_webhook(registration_id))
        if delivered.status != 200:
            self.troubles.append(f"webhook {delivered.status}")
        shown = client.get(f"/sessions/{registration_id}")
        if shown.json.get("status") != "completed":
            self.troubles.append(f"status {shown.status}")


@contextmanager
def registering(sandbox: Sandbox, *embeds: Embed) -> Iterator[list[Users]]:
    """Let users register at each of these processes during the block."""
    crowds = [Users(sandbox, embed) for embed in embeds]
    for users in crowds:
        users.start()
    try:
        yield crowds
    finally:
        for users in crowds:
            users.stop()


def go_on(crowds: list[Users], rounds: int = 3) -> None:
    """Wait until each crowd has made more rounds."""
    goals = [users.rounds + rounds for users in crowds]
    wait_until(
        lambda: (
            any(users.troubles for users in crowds)
            or all(users.rounds >= goal for users, goal in zip(crowds, goals, strict=True))
        )
    )


@pytest.mark.parametrize(
    "switch",
    [[(BOTH, OLD), (BOTH, NEW), (ONLY_NEW, OLD), (ONLY_NEW, NEW)], [(ONLY_NEW, NEW)]],
    ids=["step by step", "at once"],
)
def test_no_user_notices_the_change(sandbox: Sandbox, switch: list[tuple[list[str], str]]) -> None:
    """No session fails and no webhook is refused during the whole change, with both configurations."""
    storage = MemoryStorage()

    def process(tokens: list[str]) -> Embed:
        return at_sandbox(sandbox, partner_token=tokens, storage=storage, session_limit=None)

    embeds = [process(tokens) for tokens in (ONLY_OLD, BOTH, BOTH, ONLY_NEW)]
    before, *during, after = embeds
    troubles = []
    with closing(*embeds):
        with registering(sandbox, before, *during) as crowds:  # step 1, halfway: some have the new token
            go_on(crowds)
        troubles += [users.troubles for users in crowds]
        with registering(sandbox, *during) as crowds:  # step 2: ChatArchitect switches
            for accepted, signing in switch:
                go_on(crowds)
                sandbox.change_tokens(accepted, signing=signing)
            go_on(crowds)
        troubles += [users.troubles for users in crowds]
        with registering(sandbox, *during, after) as crowds:  # step 3, halfway: some have the new token only
            go_on(crowds)
        troubles += [users.troubles for users in crowds]
        assert list(itertools.chain(*troubles)) == []
        tokens = {creator(after, session.registration_id) for session in sandbox.sessions}
        assert tokens == {OLD, NEW}
