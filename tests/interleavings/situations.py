"""The situations whose orders are explored: what is stored at first, and which workers then meet.

To add one, write a worker: a function that gets the `Meeting` and the worker's own `Embed`, and does the
work. Then one line in SITUATIONS names who meets:

    def forget(meeting, embed):
        meeting.may_go()  # only if it may take the credentials away
        embed.forget(USER)

    "accept x forget": Situation(accept, forget),
    "replay x forget": Situation(replay, forget, begin="completed"),

What holds in the end is checked for all of them: what was acknowledged is stored, or newer, unless it may be
gone; older credentials never replace newer ones; each handler has run for the final credentials, and never
beside itself; nothing forged or of another user is stored; the log shows no secret. A worker that returns an
`Answer` of a webhook is held to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from ca_embed import Credentials, Embed, NotFound, Registration
from ca_embed.storage import MemoryStorage
from tests.flow.kit import store_session
from tests.interleavings.explorer import Explored, Records, SteppedStorage, explore, remember
from tests.simulation.audit import Audit
from tests.simulation.chatarchitect import BASE_URL, ChatArchitect, Network
from tests.simulation.http import request
from tests.simulation.tasks import Scheduler, installed

PUBLIC_URL = "https://crm.example/chatarchitect"
KEYS = ["fake-encryption-key-number-0", "fake-encryption-key-number-1"]
TOKEN = "fake-partner-token-number-0"
USER = "user_0"

Worker = Callable[["Meeting", Embed], Any]


class Situation:
    """Which workers meet, and what is stored before.

    begin: "open", a session that is open; "over", one that expired long ago; "unknown", nothing;
        "completed", credentials whose handler has run; "due", credentials whose handler has failed.
    handlers: when the hosts run handlers.
    """

    def __init__(self, *workers: Worker, begin: str = "open", handlers: str = "request") -> None:
        self.workers, self.first, self.handlers = workers, begin, handlers

    def explore(self) -> Explored:
        """Walk all orders."""
        with _quiet(), installed(), patch("ca_embed._partner.client.PartnerHttp", Instant):
            return explore(lambda scheduler: Meeting(scheduler, self))


class Instant(Network):
    """The Partner API without a network in between: a call is one point."""

    def call(self, method: str, query: Any, *, seconds: float, json: bytes | None = None) -> Any:
        """Answer at once."""
        scheduler = Network.world._scheduler
        scheduler.pause(f"call {query['action']}")
        reply = Network.world.answer(self._token, method, query, json)
        if scheduler.current is not None:
            remember(scheduler.current, "call", (reply.status, reply.body))
        return reply


@dataclass
class Owner:
    """The process of one worker."""

    name: str
    handlers: tuple[str, ...] = ("connect",)
    dead: bool = False


class Meeting:
    """One run of a situation."""

    def __init__(self, scheduler: Scheduler, situation: Situation) -> None:
        self.scheduler, self._situation = scheduler, situation
        self.registration_id = "r000"
        self.failing = False

    def begin(self) -> None:
        """Store what is there before, and start a task for each worker."""
        scheduler = self.scheduler
        self.records = Records(self._wrote)
        self.api = Network.world = ChatArchitect(scheduler, TOKEN)
        auditor = self._embed(MemoryStorage(), KEYS)
        self.audit = Audit(
            lambda: scheduler.now, self.api, auditor._core.ledger.opened, [*KEYS, TOKEN], lambda words: None
        )
        self.audit.watch(self.records.memory.load, self.records.memory.load)
        self.embeds = [self._process(number) for number in range(len(self._situation.workers))]
        self._prepare()
        for number, (worker, embed) in enumerate(zip(self._situation.workers, self.embeds, strict=True)):
            name = f"{worker.__name__} {number + 1}"
            scheduler.spawn(name, lambda worker=worker, embed=embed: self._work(worker, embed), owner=embed)
        for task in list(scheduler.tasks):  # up to its first call: until there, the workers do not meet
            scheduler.resume(task)

    def check(self) -> None:
        """Let time pass and passes run; then every promise must hold."""
        for _ in range(3):
            self.scheduler.now += 61
            self.embeds[0].reconcile()
        self.audit.require_kept(self.registration_id)
        registration = self.embeds[0].registration(self.registration_id)
        credentials = self.embeds[0].credentials(self.registration_id)
        if credentials is not None:
            done = [run for run in self.audit.runs if run.succeeded and run.secret == credentials.app_secret]
            self.audit.require(done, "the handler never ran for the final credentials")
            self.audit.require(registration and registration.user_id == USER, "it went to another user")
        elif self.visit.completed:
            self.audit.require(
                self.registration_id in self.audit.gone or self._situation.first == "unknown",
                "it was completed, and this was never found out",
            )
        if self.registration_id in self.audit.disconnected:
            self.audit.require(credentials is None, "it was disconnected, and its credentials are back")
        if self.registration_id in self.audit.forgotten:
            self.audit.require(registration is None, "it was erased, and is back")
        assert not self.audit.broken, self.audit.broken[0]

    @property
    def seen(self) -> tuple[object, ...]:
        """What the checks at the end depend on besides the records."""
        runs = tuple((run.secret, run.ended is not None, run.succeeded) for run in self.audit.runs)
        audit = self.audit
        return (
            runs,
            sorted(audit.floor.items()),
            sorted(audit.gone),
            sorted(audit.forgotten),
            sorted(audit.disconnected),
        )

    def may_go(self) -> None:
        """Say that from now on the registration may be missing."""
        self.audit.gone[self.registration_id] = float("inf")

    # --- parts -----------------------------------------------------------------------------------

    def _embed(self, storage: Any, keys: list[str]) -> Embed:
        return Embed(
            base_url=BASE_URL,
            partner_token=TOKEN,
            public_url=PUBLIC_URL,
            storage=storage,
            encryption_keys=keys,
            identify=lambda environ: environ["user"],
            clock=lambda: self.scheduler.now,
            session_limit=None,
            handlers=self._situation.handlers,  # type: ignore[arg-type]
        )

    def _process(self, number: int) -> Embed:
        owner = Owner(f"process {number + 1}")
        rotating = rotate in self._situation.workers
        keys = [KEYS[1], KEYS[0]] if rotating else KEYS
        embed = self._embed(SteppedStorage(self.records, self.scheduler, owner), keys)

        @embed.on_completed(name="connect")
        def connect(registration: Registration, credentials: Credentials) -> None:
            run = self.audit.handler_began(
                registration.registration_id, "connect", credentials.app_secret, owner
            )
            self.scheduler.pause("handler")
            run.ended = self.scheduler.now
            if self.failing:
                raise ValueError("simulated")
            run.succeeded = True

        return embed

    def _wrote(self, owner: Any, before: Any, after: Any) -> None:
        self.audit.wrote(owner, before, after)
        if after is not None:
            self.audit.became_durable(after)

    def _prepare(self) -> None:
        """Open the session, and let every process use the storage once: what it reads at first is known."""
        first = self._embed(SteppedStorage(self.records, self.scheduler, Owner("first")), KEYS)
        first.on_completed(name="connect")(lambda registration, credentials: None)
        self.api.session_seconds = 3600.0
        assert request(first, "POST", "/sessions", user=USER).status == 201
        self.visit = self.api.visits[self.registration_id]
        self.visit.dated = self.visit.dated_results = True
        if self._situation.first == "unknown":
            record = self.records.memory.load(self.registration_id)
            assert record is not None
            self.records.memory.delete(self.registration_id, record.version)
            self.visit.partner_state = None
        else:
            self.audit.stored_for[self.registration_id] = USER
        others = [self.api.visits.setdefault(f"w{n}", _other(self.visit, f"w{n}")) for n in range(9)]
        for embed, other in zip(self.embeds, others, strict=False):
            issue = self.api.complete(other)
            assert issue is not None
            self._deliver(embed, self.api.webhook(other, issue))
        self.audit.runs.clear()
        self.issues = []
        for seconds in (60.0, 61.0):
            self.scheduler.now += seconds
            issue = self.api.complete(self.visit)
            assert issue is not None
            self.issues.append(issue)
        if self._situation.first in ("completed", "due"):
            self.failing = self._situation.first == "due"
            self._deliver(self.embeds[0], self.api.webhook(self.visit, self.issues[0]))
            self.failing = False
            self.scheduler.now += 100
        if self._situation.first == "over":
            self.scheduler.now += 40 * 86400
        self.audit.runs = [run for run in self.audit.runs if run.succeeded]
        self.audit.disturb("crash")  # so what has run before may run again after a replay

    def _deliver(self, embed: Embed, delivery: Any) -> Any:
        began = self.scheduler.now
        answer = request(embed, "POST", "/webhook", headers=delivery.headers, body=delivery.body)
        if answer.status == 200:
            self.audit.acknowledged(delivery, answer.json["status"], began)
        else:
            self.audit.fail(f"a true webhook got {answer.status} {answer.json}")
        return answer

    def _work(self, worker: Worker, embed: Embed) -> None:
        try:
            worker(self, embed)
        except Exception as error:  # noqa: BLE001 (any is a defect)
            self.audit.fail(f"{worker.__name__} raised {type(error).__name__}: {error}")


def _other(visit: Any, registration_id: str) -> Any:
    return replace(visit, registration_id=registration_id, issues=[])


@contextmanager
def _quiet() -> Any:
    logger = logging.getLogger("ca_embed")
    level, logger.level = logger.level, logging.CRITICAL + 1
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


# --- workers -------------------------------------------------------------------------------------


def accept(meeting: Meeting, embed: Embed) -> None:
    """Get the webhook."""
    meeting._deliver(embed, meeting.api.webhook(meeting.visit, meeting.issues[0]))


def accept_newer(meeting: Meeting, embed: Embed) -> None:
    """Get the webhook of newer credentials."""
    meeting._deliver(embed, meeting.api.webhook(meeting.visit, meeting.issues[1]))


def purge(meeting: Meeting, embed: Embed) -> None:
    """Remove old sessions that no one finished."""
    embed.purge_expired(timedelta(days=30))


def forget(meeting: Meeting, embed: Embed) -> None:
    """Erase the user."""
    meeting.may_go()
    known = meeting.records.memory.load(meeting.registration_id) is not None
    embed.forget(USER)
    if known:
        meeting.audit.forgotten[meeting.registration_id] = meeting.scheduler.now


def disconnect(meeting: Meeting, embed: Embed) -> None:
    """Say that the host no longer uses the number."""
    meeting.may_go()
    with suppress(NotFound):  # if it was erased meanwhile
        embed.disconnect(meeting.registration_id)
        meeting.audit.disconnected.add(meeting.registration_id)


def reconcile(meeting: Meeting, embed: Embed) -> None:
    """Make a pass: run handlers, ask about open sessions."""
    embed.reconcile()


def poll(meeting: Meeting, embed: Embed) -> None:
    """Show the registration to its user, and ask about it first."""
    answer = request(embed, "GET", f"/sessions/{meeting.registration_id}", user=USER)
    assert answer.status in (200, 404), answer


def rotate(meeting: Meeting, embed: Embed) -> None:
    """Seal every record under the newest key."""
    assert embed.rotate_keys().unreadable == 0


def replay(meeting: Meeting, embed: Embed) -> None:
    """Make the handlers due again."""
    try:
        embed.replay(meeting.registration_id)
    except NotFound:
        assert meeting.registration_id in meeting.audit.gone


def store(meeting: Meeting, embed: Embed) -> None:
    """Store the session, whose webhook may have been faster."""
    store_session(embed, meeting.registration_id, expires_at=meeting.visit.expires_at, user_id=USER)


SITUATIONS = {
    "accept x accept": Situation(accept, accept),
    "accept x newer": Situation(accept, accept_newer),
    "accept x store": Situation(accept, store, begin="unknown"),
    "accept x purge": Situation(accept, purge, begin="over"),
    "accept x forget": Situation(accept, forget),
    "newer x forget": Situation(accept_newer, forget, begin="completed"),
    "hand-over x hand-over": Situation(reconcile, reconcile, begin="due"),
    "hand-over x newer": Situation(reconcile, accept_newer, begin="due"),
    "hand-over x forget": Situation(reconcile, forget, begin="due"),
    "hand-over x replay": Situation(reconcile, replay, begin="due"),
    "rotate x accept": Situation(rotate, accept),
    "rotate x forget": Situation(rotate, forget),
    "ask x webhook": Situation(reconcile, accept),
    "ask x ask": Situation(reconcile, reconcile),
    "ask x forget": Situation(reconcile, forget),
    "poll x webhook": Situation(poll, accept),
    "poll x ask": Situation(poll, reconcile),
    "poll x forget": Situation(poll, forget),
    "replay x newer": Situation(replay, accept_newer, begin="completed"),
    "disconnect x accept": Situation(disconnect, accept),
    "disconnect x newer": Situation(disconnect, accept_newer, begin="completed"),
    "disconnect x poll": Situation(disconnect, poll),
    "disconnect x ask": Situation(disconnect, reconcile),
    "disconnect x hand-over": Situation(disconnect, reconcile, begin="due"),
    "disconnect x replay": Situation(disconnect, replay, begin="completed"),
    "disconnect x forget": Situation(disconnect, forget, begin="completed"),
    "disconnect x disconnect": Situation(disconnect, disconnect, begin="completed"),
    "replay x replay": Situation(replay, replay, begin="completed"),
}

OF_THREE = {
    "accept x accept x newer": Situation(accept, accept, accept_newer),
    "accept x newer x forget": Situation(accept, accept_newer, forget),
    "accept x purge x newer": Situation(accept, purge, accept_newer, begin="over"),
    "rotate x accept x newer": Situation(rotate, accept, accept_newer),
    "poll x accept x forget": Situation(poll, accept, forget),
    "hand-over x newer x replay": Situation(reconcile, accept_newer, replay, begin="due"),
    "ask x accept x forget": Situation(reconcile, accept, forget),
}
