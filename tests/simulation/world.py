"""A whole deployment in one process: hosts, ChatArchitect, users, an operator, and what goes wrong."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from ca_embed import Credentials, Embed, Registration, StorageUnavailable
from ca_embed.storage import MemoryStorage
from tests.simulation.audit import Audit
from tests.simulation.chatarchitect import BASE_URL, ChatArchitect, Delivery, Network, Visit
from tests.simulation.http import Answer, request
from tests.simulation.storage import Connection, Server
from tests.simulation.tasks import Crashed, Scheduler, Task, installed, scheduling

PUBLIC_URL = "https://crm.example/chatarchitect"
KEYS = [f"fake-encryption-key-number-{number}" for number in range(6)]
TOKENS = [f"fake-partner-token-number-{number}" for number in range(6)]
USERS = [f"user_{number}" for number in range(5)]
RELEASES = [("connect",), ("connect", "report"), ("connect", "report", "bill"), ("connect", "bill")]
_HOSTS = 3
_TRACE = 400  # lines that a broken promise shows


class PromiseBroken(AssertionError):
    """A promise is broken. The text says which, and what led there."""


@dataclass(frozen=True)
class Config:
    """What a host is started with."""

    keys: tuple[str, ...]
    tokens: tuple[str, ...]
    handlers: tuple[str, ...]


class Host:
    """One process: an Embed with its own clock and its own connection to the storage."""

    def __init__(self, world: World, place: int, config: Config, offset: float, *, at_once: bool) -> None:
        self.world, self.place, self.config, self.offset = world, place, config, offset
        self.handlers = config.handlers
        self.dead = False
        self.connection = Connection(world.server, self, world.scheduler)
        self.connection.crash = lambda: world.crash(self)
        self.embed = Embed(
            base_url=BASE_URL,
            partner_token=list(config.tokens),
            public_url=PUBLIC_URL,
            storage=self.connection,
            encryption_keys=list(config.keys),
            identify=lambda environ: environ["user"],
            clock=self.clock,
            session_limit=None,
            handlers="request" if at_once else "reconcile",
        )
        for name in config.handlers:
            self.embed.on_completed(name=name)(self._handler(name))

    def __repr__(self) -> str:
        return f"host {self.place}"

    def clock(self) -> float:
        """Return the time by this host's clock."""
        return self.world.scheduler.now + self.offset

    def request(
        self, method: str, path: str, *, user: str | None = None, headers: Any = None, body: bytes = b""
    ) -> Answer:
        """Send a request through the WSGI door."""
        answer = request(self.embed, method, path, user=user, headers=headers, body=body)
        self.world.audit.answered(answer.status, answer.headers, answer.body)
        return answer

    def _handler(self, name: str) -> Callable[[Registration, Credentials], None]:
        def handler(registration: Registration, credentials: Credentials) -> None:
            self.world.run_handler(self, name, registration, credentials)

        return handler


class World:
    """Hosts on one storage and one virtual clock. Every choice is drawn from `seed`."""

    def __init__(self, scheduler: Scheduler, chance: random.Random, *, trace: bool = False) -> None:
        self.random = chance
        self.scheduler = scheduler
        self._tracing = trace
        self.trace: list[str] = []
        self.api = ChatArchitect(self.scheduler, TOKENS[0])
        Network.world = self.api
        self.auditor = Embed(
            base_url=BASE_URL,
            partner_token=TOKENS,
            public_url=PUBLIC_URL,
            storage=MemoryStorage(),
            encryption_keys=KEYS,
        )
        opened = self.auditor._core.ledger.opened
        self.audit = Audit(lambda: self.scheduler.now, self.api, opened, [*KEYS, *TOKENS], self.say)
        self.server = Server(self.audit)
        self.audit.watch(self.server.load_visible, self.server.durable.get)
        self.audit.under_way = self._under_way
        self.keys: tuple[str, ...] = (KEYS[0],)
        self.tokens: tuple[str, ...] = (TOKENS[0],)
        self.release = 0
        self.deploying: set[int] = set()  # the places that the latest configuration has not reached
        self.previous = self.config
        self.rotated = False
        self.switched_at: float | None = None
        self.hosts: list[Host | None] = [None] * _HOSTS
        self.post: list[Delivery] = []  # webhooks on their way
        self.failing: set[str] = set()  # handlers that fail
        self.slow_handlers = False
        self.focus: Visit | None = None  # the visit that most of what happens is about
        self.activity: list[tuple[float, str]] = []
        self.counts: Counter[str] = Counter()
        self.steps = 0

    @property
    def config(self) -> Config:
        """The latest configuration."""
        return Config(self.keys, self.tokens, RELEASES[self.release])

    @property
    def alive(self) -> list[Host]:
        """The hosts that run."""
        return [host for host in self.hosts if host is not None]

    def _under_way(self) -> set[str]:
        """Return what is wrong now."""
        wrong = {
            "clock": any(host.offset for host in self.alive),
            "storage": self.server.down
            or not self.server.standby
            or self.server.slow > 1
            or any(host.connection.cut for host in self.alive),
            "partner": self.api.mode != "up",
        }
        return {kind for kind, is_so in wrong.items() if is_so}

    # --- running ---------------------------------------------------------------------------------

    def say(self, words: str) -> None:
        """Note a line for the trace."""
        if self._tracing:
            self.trace.append(f"{self.scheduler.now - 1_800_000_000:12.3f} {words}")

    def go(self, steps: int, *, until: float | None = None) -> None:
        """Let tasks go on, so many times at most."""
        for _ in range(steps):
            before, calls = self._labels() if self._tracing else {}, len(self.api.calls)
            if not self.scheduler.step(until):
                return
            self._bury()
            if len(self.api.calls) > calls:
                self.audit.require_few_questions(self._activity_since)
            if self._tracing:
                self._say_what_moved(before)
            self.require_unbroken()

    def _activity_since(self, registration_id: str, since: float) -> int:
        return sum(one == registration_id and at > since for at, one in self.activity)

    def _labels(self) -> dict[Task, str]:
        return {task: task.label for task in self.scheduler.tasks}

    def _say_what_moved(self, before: dict[Task, str]) -> None:
        for task, label in before.items():
            if task.done or task.label != label:
                self.say(f"{task.owner or ''!s:8} {task.name}: {label}{' (ends)' if task.done else ''}")

    def require_unbroken(self) -> None:
        """Raise PromiseBroken if a promise is broken."""
        if self.audit.broken:
            raise PromiseBroken(f"{self.audit.broken[0]} (step {self.steps})")

    def spawn(self, name: str, host: Host, call: Callable[[], Any]) -> Task:
        """Start a task of a host. An error that no one expects breaks a promise."""
        self.counts[name] += 1

        def guarded() -> Any:
            try:
                return call()
            except StorageUnavailable as error:
                if not self.storage_may_fail(name, began, faults, host):
                    self.audit.fail(f"{name} failed though the storage works: {error}")
            except Exception as error:  # noqa: BLE001 (any is a defect)
                self.audit.fail(f"{name} raised {type(error).__name__}: {error}")

        began, faults = self.scheduler.now, self.server.faults
        return self.scheduler.spawn(name, guarded, owner=host)

    def storage_may_fail(self, name: str, began: float, faults: int, host: Host) -> bool:
        server = self.server
        trouble = server.down or not server.standby or host.connection.cut or server.faults > faults
        if name != "pass":  # a pass goes on if some records are locked
            trouble = trouble or bool(server.locked) or self.audit.was_disturbed(began, "storage")
        return trouble or self.audit.was_disturbed(began, "promotion")

    # --- hosts -----------------------------------------------------------------------------------

    def start(self, place: int) -> Host:
        """Start a process: under the latest configuration, unless that is still being deployed."""
        config = self.previous if place in self.deploying else self.config
        offset = self.hosts[place].offset if self.hosts[place] else 0.0  # type: ignore[union-attr]
        host = Host(self, place, config, offset, at_once=self.random.random() < 0.8)
        self.hosts[place] = host
        self.say(f"{host} starts with {config.handlers}")
        return host

    def crash(self, host: Host) -> None:
        """Throw a host away, wherever its tasks stand."""
        if host.dead:
            return
        host.dead = host.connection.dead = True
        self.hosts[host.place] = None
        self.audit.disturb("crash")
        self.say(f"{host} crashes")
        if self.scheduler.current is None:
            self._bury()

    def _bury(self) -> None:
        """End the tasks of hosts that have crashed."""
        for task in [one for one in self.scheduler.tasks if one.owner is not None and one.owner.dead]:
            self.scheduler.kill(task)

    def run_handler(
        self, host: Host, name: str, registration: Registration, credentials: Credentials
    ) -> None:
        """Be the host's own handler: it takes its time, and may fail."""
        if host.dead:
            raise Crashed
        run = self.audit.handler_began(registration.registration_id, name, credentials.app_secret, host)
        self.say(f"{host}   {name} begins for {registration.registration_id}")
        if registration.user_id is None:
            self.audit.fail(f"{registration.registration_id}: {name} got no user")
        try:
            longest = 400.0 if self.slow_handlers else 2.0
            self.scheduler.pause(
                f"handler {name} {registration.registration_id}", self.random.uniform(0.0, longest)
            )
            if host.dead:
                raise Crashed
            if name in self.failing:
                raise ValueError("simulated: this handler fails")
            run.succeeded = True
            self.counts["handler done"] += 1
        finally:
            run.ended = self.scheduler.now
            words = "succeeds" if run.succeeded else "fails"
            self.say(f"{host}   {name} {words} for {registration.registration_id}")


@contextmanager
def world(seed: int, *, trace: bool = False) -> Iterator[World]:
    """Begin a simulation."""
    logger = logging.getLogger("ca_embed")
    level, propagate = logger.level, logger.propagate
    with ExitStack() as stack:
        stack.enter_context(installed())
        stack.enter_context(patch("ca_embed._partner.client.PartnerHttp", Network))
        chance = random.Random(seed)
        scheduler = stack.enter_context(scheduling(Scheduler(chance.choice, seed=seed)))
        one = World(scheduler, chance, trace=trace)
        logger.addHandler(one.audit)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        for place in range(_HOSTS):
            one.start(place)
        try:
            yield one
        finally:
            for host in one.alive:
                one.crash(host)
            logger.removeHandler(one.audit)
            logger.setLevel(level)
            logger.propagate = propagate
