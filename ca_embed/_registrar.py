"""The use cases, in the order in which they happen: create, accept, hand over, ask.

Each step either calls the Partner API or touches the storage, never both, so that a door to an event
loop can run the two in different threads. `Embed` offers them to programs, `http` to browsers.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from ca_embed import _registration as rules
from ca_embed._host.handlers import Handlers
from ca_embed._partner.clients import Partners
from ca_embed._registration import Claim, Completion, Outcome, Registration, Session, State
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import EmbedError, MismatchedSession, PartnerError, PartnerUnavailable

if TYPE_CHECKING:
    from ca_embed._partner.client import Result

logger = logging.getLogger("ca_embed")

Answer: TypeAlias = "Result | PartnerError"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOrder:
    """What a session is to be created with; all of it chosen by the host's server."""

    user_id: str
    parent_origin: str
    webhook_url: str
    partner_state: str | None = field(repr=False)
    integration: str | None
    lang: str


@dataclass(frozen=True, slots=True)
class Handover:
    """One run of the handlers: the claimed state, and the name under which it is claimed."""

    state: State
    worker: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a completion; `handover` is for the worker that has to run the handlers now."""

    outcome: Outcome
    handover: Handover | None = None


@dataclass(frozen=True, slots=True)
class HandlerCount:
    """How many handler runs succeeded and failed."""

    done: int = 0
    failed: int = 0


class Registrar:
    """Registers users with ChatArchitect and remembers what came of it.

    handlers_at_once: whether accepted credentials are handed over by the worker that stored them.
    """

    def __init__(
        self,
        ledger: Ledger,
        partners: Partners,
        handlers: Handlers,
        clock: Callable[[], float],
        *,
        handlers_at_once: bool,
    ) -> None:
        """Work on this ledger, with these partner tokens."""
        self.ledger = ledger
        self.partners = partners
        self._handlers = handlers
        self._clock = clock
        self._handlers_at_once = handlers_at_once

    # --- create ---------------------------------------------------------------------------------

    def open_session(self, order: SessionOrder) -> Session:
        """Ask the Partner API for a session. Raises PartnerError."""
        return self.partners.newest.create_session(
            parent_origin=order.parent_origin,
            webhook_url=order.webhook_url,
            partner_user_id=order.user_id,
            partner_state=order.partner_state,
            integration=order.integration,
            lang=order.lang,
        )

    def remember(self, order: SessionOrder, session: Session) -> None:
        """Store a session that was opened. Raises StorageUnavailable.

        An id that is known already as another user's is not handed to this one: PartnerUnavailable.
        """
        opened = Registration(
            registration_id=session.registration_id,
            status=session.status,
            user_id=order.user_id,
            partner_state=order.partner_state,
            integration=order.integration,
            lang=order.lang,
            parent_origin=order.parent_origin,
            created_at=datetime.fromtimestamp(self._clock(), UTC),
            expires_at=session.expires_at,
        )
        token_id, names = self.partners.newest_id, self._handlers.names

        def decide(known: State | None) -> tuple[bool, State | None]:
            if known is not None and rules.is_anothers(known, opened):
                return False, None
            return True, rules.open_session(opened, token_id, known, names)

        if not self.ledger.change(session.registration_id, decide):
            raise PartnerUnavailable(
                f"ChatArchitect opened {session.registration_id!r} again, for another user; ask them why"
            )
        logger.info("sessions reason=created registration_id=%s", session.registration_id)

    # --- accept ---------------------------------------------------------------------------------

    def accept(self, completion: Completion) -> Accepted:
        """Store the credentials of a completion, exactly once. Raises MismatchedSession, StorageUnavailable.

        When this returns, accepted credentials are on stable storage.
        """
        worker = uuid.uuid4().hex

        def decide(known: State | None) -> tuple[Accepted, State | None]:
            now = self._clock()
            claim = Claim(worker, now + rules.HANDLER_LEASE) if self._handlers_at_once else None
            outcome, following = rules.complete(
                known, completion, now=now, handlers=self._handlers.names, claim=claim
            )
            if following is None or following.claim is None or following.claim != claim:
                return Accepted(outcome), following
            return Accepted(outcome, Handover(following, worker)), following

        accepted = self.ledger.change(completion.registration_id, decide)
        if accepted.outcome is Outcome.MISMATCHED:
            raise MismatchedSession(
                f"registration {completion.registration_id!r} was begun for another user or state"
            )
        return accepted

    # --- hand over ------------------------------------------------------------------------------

    def hand_over(self, handover: Handover) -> HandlerCount:
        """Run the handlers that are due under this claim, noting each as done or failed.

        A handler that fails is due again later; one whose note cannot be stored runs once more. If the
        claim has lapsed, because this worker waited for a thread too long, others have the right to run.
        """
        worker, done, failed = handover.worker, 0, 0
        state = None if rules.lapsed(handover.state, self._clock()) else handover.state
        while state is not None and (name := self._next_handler(state, worker)):
            assert state.credentials is not None  # only accepted credentials owe a run
            succeeded = self._handlers.call(name, state.registration, state.credentials)
            done, failed = done + succeeded, failed + (not succeeded)
            state = self._note(state, worker, name, succeeded=succeeded)
        return HandlerCount(done, failed)

    def hand_over_quietly(self, handover: Handover) -> None:
        """Do so where the credentials are stored already and trouble must not change the answer."""
        try:
            self.hand_over(handover)
        except EmbedError as error:
            logger.error("handler reason=not_noted %s; reconcile() runs it again", error)

    def claim_handlers(self, registration_id: str) -> Handover | None:
        """Claim the handlers of a registration that are due, if nobody else has."""
        worker = uuid.uuid4().hex

        def decide(known: State | None) -> tuple[Handover | None, State | None]:
            now = self._clock()
            if known is None or not rules.runnable(known, worker, self._handlers.names, now):
                return None, None
            claimed = rules.claimed(known, worker, now)
            return Handover(claimed, worker), claimed

        return self.ledger.change(registration_id, decide)

    def _next_handler(self, state: State, worker: str) -> str | None:
        names = rules.runnable(state, worker, self._handlers.names, self._clock())
        return names[0] if names else None

    def _note(self, ran: State, worker: str, name: str, *, succeeded: bool) -> State | None:
        """Store how a run ended, and keep the claim if there is more to run, else give it back."""

        def decide(known: State | None) -> tuple[State | None, State | None]:
            if known is None:
                return None, None
            now = self._clock()
            noted = rules.handled(known, name, ran.generation, now, done=succeeded)
            if rules.runnable(noted, worker, self._handlers.names, now):
                following = rules.claimed(noted, worker, now)
                return following, following
            return None, rules.released(noted, worker)

        return self.ledger.change(ran.registration.registration_id, decide)

    # --- ask ------------------------------------------------------------------------------------

    def begin_asking(self, registration_id: str, *, every: float) -> State | None:
        """Claim the right to ask the Partner API about an open session; None if it is not due."""

        def decide(known: State | None) -> tuple[State | None, State | None]:
            now = self._clock()
            if known is None or not rules.may_ask(known, now, every=every):
                return None, None
            asking = rules.asking(known, now)
            return asking, asking

        return self.ledger.change(registration_id, decide)

    def ask(self, state: State) -> Answer:
        """Ask the Partner API, with the token that created the session. Returns trouble, and logs it."""
        registration_id = state.registration.registration_id
        try:
            return self.partners.of(state.token_id).result(registration_id)
        except PartnerError as error:
            logger.warning("result reason=%s registration_id=%s (%s)", error.code, registration_id, error)
            return error

    def note_answer(self, state: State, answer: Answer) -> Accepted | None:
        """Store what the Partner API said. Returns what became of a completion, if it told of one."""
        if not isinstance(answer, PartnerError) and answer.completion is not None:
            accepted = self.accept(answer.completion)
            log_outcome("result", answer.completion, accepted.outcome)
            return accepted

        def decide(known: State | None) -> tuple[None, State | None]:
            return None, None if known is None else self._after(known, answer)

        self.ledger.change(state.registration.registration_id, decide)
        return None

    def note_expiry(self, registration_id: str) -> None:
        """Store that an open session's time is over, if it is: that needs nobody's answer."""

        def decide(known: State | None) -> tuple[None, State | None]:
            return None, None if known is None else rules.expire(known, self._clock())

        self.ledger.change(registration_id, decide)

    def _after(self, known: State, answer: Answer) -> State:
        now = self._clock()
        if isinstance(answer, PartnerError):
            return rules.unanswered(known, now)
        return rules.answered(known, answer.status, now)

    # --- look up --------------------------------------------------------------------------------

    def look_up(self, registration_id: str) -> State | None:
        """Return the state as of now: an open session whose time is over shows as expired."""
        state = self.ledger.load(registration_id)
        return None if state is None else rules.expire(state, self._clock())

    def states(self, user_id: str | None = None) -> Iterator[State]:
        """Return all states, or one user's, as of now, by registration id."""
        return (rules.expire(state, self._clock()) for state in self.ledger.states(user_id))


def log_outcome(source: str, completion: Completion, outcome: Outcome, label: str = "") -> None:
    """Write the one line that says what became of a completion, and why."""
    logger.info("%s reason=%s registration_id=%s%s", source, outcome.value, completion.registration_id, label)
