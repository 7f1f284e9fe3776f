"""Running the handlers of a registration or an event, under a claim that is stored with it.

The write that stores credentials or an event also stores that each handler must run. The worker that has the
claim runs them in order, and stores after each how it ended. If the worker dies, its claim ends, and
`reconcile()` runs the rest.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ca_embed import _registration as rules
from ca_embed._host.handlers import Handlers
from ca_embed._host.heartbeat import Heartbeat
from ca_embed._log import fields
from ca_embed._registration import State
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import EmbedError, InvalidArgument, NotFound

logger = logging.getLogger("ca_embed")

_LONGEST_RUN = 15 * 60.0  # seconds after which a handler that still runs counts as failed


@dataclass(frozen=True, slots=True)
class Handover:
    """The right to run the handlers of one registration: its state, and the worker who has claimed it."""

    state: State
    worker: str


@dataclass(frozen=True, slots=True)
class HandlerRuns:
    """How many handler runs succeeded, and the names of those that failed."""

    done: int = 0
    failed: tuple[str, ...] = ()


class HandlerRunner:
    """Claims handlers that are due, runs them, and stores how each run ended."""

    def __init__(self, ledger: Ledger, handlers: Handlers, clock: Callable[[], float]) -> None:
        """Run these handlers for the registrations of this ledger."""
        self._ledger = ledger
        self._handlers = handlers
        self._clock = clock
        self._heartbeat = Heartbeat()

    def now(self) -> float:
        """Return the time by this process's clock, in Unix seconds."""
        return self._clock()

    def run(self, handover: Handover, *, without: Collection[str] = ()) -> HandlerRuns:
        """Run the handlers that are due under this claim, and note each as done or failed.

        A handler that fails is due again later. One whose note cannot be stored runs once more. Nothing runs
        if the claim has ended, because this worker waited too long for a thread: others may run it now.
        without: handlers not to run now.
        """
        worker, done, failed = handover.worker, 0, list[str]()
        names = self._names(handover.state, without)
        state = None if rules.claim_ended(handover.state, self._clock()) else handover.state
        while state is not None and (due := rules.runnable(state, worker, names, self._clock())):
            error = self._call(state, worker, due[0])
            done, failed = done + (error is None), failed + ([] if error is None else [due[0]])
            state = self._note_run(state, worker, due[0], error, names)
        return HandlerRuns(done, tuple(failed))

    def run_safely(self, handover: Handover) -> None:
        """Run the handlers of credentials that are stored; log a failing storage instead of raising.

        The acknowledgement is earned already, so nothing here may change the response.
        """
        try:
            self.run(handover)
        except EmbedError as error:
            extra = fields("not_noted", handover.state.registration.registration_id)
            logger.error("handler reason=not_noted %s; reconcile() runs it again", error, extra=extra)

    def claim(self, registration_id: str, *, without: Collection[str] = ()) -> Handover | None:
        """Claim the handlers of a registration that are due. None if another worker has claimed them."""
        worker = uuid.uuid4().hex

        def decide(known: State | None) -> tuple[Handover | None, State | None]:
            now = self._clock()
            if known is None or not rules.runnable(known, worker, self._names(known, without), now):
                return None, None
            claimed = rules.claimed(known, worker, now)
            return Handover(claimed, worker), claimed

        return self._ledger.change(registration_id, decide)

    def give_back(self, handover: Handover) -> None:
        """Release a claim under which nothing has run, so that `reconcile()` runs the handlers soon."""
        self._ledger.change_known(
            handover.state.registration.registration_id, lambda known: rules.released(known, handover.worker)
        )

    def replay(self, registration_id: str, name: str | None) -> None:
        """Make handler runs of a completed registration due again: that of one handler, or all.

        Raises NotFound if there are no credentials to hand over, InvalidArgument for an unknown handler.
        """

        def decide(known: State | None) -> tuple[str, State | None]:
            if known is None or not known.completed:
                return "not completed", None
            if name is not None and name not in {
                *self._handlers.names,
                *(run.name for run in known.handlers),
            }:
                return "unknown handler", None
            return "", rules.replayed(known, name, self._handlers.names, self._clock())

        problem = self._ledger.change(registration_id, decide)
        if problem == "not completed":
            raise NotFound(
                f"registration {registration_id!r} is not completed here, so there is nothing to replay"
            )
        if problem:
            known = ", ".join(self._handlers.names) or "none"
            raise InvalidArgument(f"handler: no handler is named {name!r}; known here: {known}")

    def put_off(self, registration_id: str, names: Collection[str]) -> None:
        """Put off the due runs of handlers that are not among `names`: no process knows them any more."""
        self._ledger.change_known(registration_id, lambda known: rules.put_off(known, names, self._clock()))

    def _call(self, state: State, worker: str, name: str) -> str | None:
        """Run one handler, and renew the claim while it runs. Returns what it raised."""
        running = _Running(self, state, worker, name)
        with self._heartbeat.during(running.renew):
            return self._handlers.call(name, state)

    def _names(self, state: State, without: Collection[str]) -> list[str]:
        """Return the names of this process's handlers for a registration or an event, but for some."""
        return [name for name in self._handlers.names_of(state) if name not in without]

    def renew_claim(self, state: State, worker: str, name: str, *, give_up: bool) -> None:
        """Renew the claim of a handler that still runs; or give up on it, and let others run the rest."""

        def decide(known: State) -> State:
            now = self._clock()
            if known.claim is None or known.claim.worker != worker:
                return known
            if not give_up:
                return rules.claimed(known, worker, now)
            noted = rules.handled(known, state, name, now, error="still running after 15 minutes")
            return rules.released(noted, worker)

        self._ledger.change_known(state.registration.registration_id, decide)

    def _note_run(
        self, ran: State, worker: str, name: str, error: str | None, names: Collection[str]
    ) -> State | None:
        """Store how a run ended. Keep the claim and return the state if more is to run, else release it."""

        def decide(known: State | None) -> tuple[State | None, State | None]:
            if known is None or known.erased:
                return None, None
            now = self._clock()
            noted = rules.handled(known, ran, name, now, error=error)
            if rules.runnable(noted, worker, names, now):
                following = rules.claimed(noted, worker, now)
                return following, following
            return None, rules.released(noted, worker)

        return self._ledger.change(ran.registration.registration_id, decide)


class _Running:
    """A handler that runs: renews its claim, until it has run too long."""

    def __init__(self, runner: HandlerRunner, state: State, worker: str, name: str) -> None:
        self._runner, self._state, self._worker, self._name = runner, state, worker, name
        self._began = time.monotonic()
        self._renewed = runner.now()
        self._given_up = False

    def renew(self) -> None:
        """Renew the claim when a third of its lease is over."""
        now = self._runner.now()
        if self._given_up or self._renewed <= now < self._renewed + rules.HANDLER_LEASE / 3:
            return
        self._given_up = time.monotonic() - self._began > _LONGEST_RUN
        try:
            self._runner.renew_claim(self._state, self._worker, self._name, give_up=self._given_up)
            self._renewed = now
        except EmbedError as error:  # tried again at the next beat
            extra = fields("not_renewed", self._state.registration.registration_id)
            logger.warning("handler reason=not_renewed name=%s (%s)", self._name, error, extra=extra)
