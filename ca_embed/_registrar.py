"""The use cases, in the order in which they happen: create, accept, run the handlers, ask.

Each method either calls the Partner API or touches the storage, never both. So an event loop can run
the two in different threads, and a slow Partner API delays no storage call.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ca_embed import _registration as rules
from ca_embed._config import Settings, fitting_language
from ca_embed._host.handlers import Handlers
from ca_embed._host.user_ids import UserId, user_id_of
from ca_embed._partner.clients import PartnerClients
from ca_embed._registration import Claim, Completion, Outcome, Registration, Session, State
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import EmbedError, InvalidArgument, MismatchedSession, PartnerError, PartnerUnavailable

if TYPE_CHECKING:  # it brings requests, which is slow to import
    from ca_embed._partner.client import Result

logger = logging.getLogger("ca_embed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOrder:
    """What a session is to be created with. The host's server chooses all of it, the browser nothing."""

    user_id: str
    parent_origin: str
    webhook_url: str
    partner_state: str | None = field(repr=False)
    integration: str | None
    lang: str


@dataclass(frozen=True, slots=True)
class CreatedSession:
    """A session that ChatArchitect has created, and the id of the partner token that created it."""

    session: Session
    token_id: str


@dataclass(frozen=True, slots=True)
class Handover:
    """The right to run the handlers of one registration: its state, and the worker who has claimed it."""

    state: State
    worker: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a completion. With a `handover`, this worker must run the handlers now."""

    outcome: Outcome
    handover: Handover | None = None


@dataclass(frozen=True, slots=True)
class HandlerCount:
    """How many handler runs succeeded and failed."""

    done: int = 0
    failed: int = 0


def order_session(
    settings: Settings,
    user_id: UserId,
    *,
    parent_origin: str | None = None,
    partner_state: str | None = None,
    integration: str | None = None,
    lang: str | None = None,
) -> SessionOrder:
    """Return what a session is to be created with; the settings fill what is None. Raises InvalidArgument."""
    if not isinstance(lang, str | None):
        raise InvalidArgument("lang must be a string")
    origin = parent_origin or settings.parent_origins[0]
    if origin not in settings.allowed_origins:
        raise InvalidArgument("parent_origin is not among parent_origins")
    return SessionOrder(
        user_id=checked_user_id(user_id),
        parent_origin=origin,
        webhook_url=settings.webhook_url,
        partner_state=partner_state,
        integration=integration or settings.integration,
        lang=fitting_language(lang, otherwise=settings.lang),
    )


def checked_user_id(user_id: UserId) -> str:
    """Return a user id as text. Raises InvalidArgument."""
    try:
        return user_id_of(user_id)
    except (TypeError, ValueError) as problem:
        raise InvalidArgument(f"user_id: {problem}") from None


class Registrar:
    """Registers users with ChatArchitect and stores what comes of it.

    handlers_at_once: whether the worker that stores credentials also runs the handlers.
    """

    def __init__(
        self,
        ledger: Ledger,
        clients: PartnerClients,
        handlers: Handlers,
        clock: Callable[[], float],
        *,
        handlers_at_once: bool,
    ) -> None:
        """Work on this ledger, with these Partner API clients."""
        self._ledger = ledger
        self._clients = clients
        self._handlers = handlers
        self._clock = clock
        self._handlers_at_once = handlers_at_once

    # --- create ---------------------------------------------------------------------------------

    def create_session(self, order: SessionOrder) -> CreatedSession:
        """Create a session with the Partner API. Raises PartnerError."""
        session, token_id = self._clients.create_session(
            parent_origin=order.parent_origin,
            webhook_url=order.webhook_url,
            partner_user_id=order.user_id,
            partner_state=order.partner_state,
            integration=order.integration,
            lang=order.lang,
        )
        return CreatedSession(session, token_id)

    def store_session(self, order: SessionOrder, new: CreatedSession) -> None:
        """Store a session that was created. Raises StorageUnavailable.

        Raises PartnerUnavailable if its id is already stored for another user: it would mix up the two.
        """
        session = new.session
        created = Registration(
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
        token_id, names = new.token_id, self._handlers.names

        def decide(known: State | None) -> tuple[bool, State | None]:
            if known is not None and rules.belongs_to_another(known, created):
                return False, None
            return True, rules.begin(created, token_id, known, names)

        if not self._ledger.change(session.registration_id, decide):
            raise PartnerUnavailable(
                f"ChatArchitect gave out {session.registration_id!r} again, for another user; ask them why"
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

        accepted = self._ledger.change(completion.registration_id, decide)
        if accepted.outcome is Outcome.MISMATCHED:
            raise MismatchedSession(
                f"registration {completion.registration_id!r} was created for another user or state"
            )
        return accepted

    # --- run the handlers -----------------------------------------------------------------------

    def hand_over(self, handover: Handover) -> HandlerCount:
        """Run the handlers that are due under this claim, and note each as done or failed.

        A handler that fails is due again later. One whose note cannot be stored runs once more. Nothing runs
        if the claim has ended, because this worker waited too long for a thread: others may run it now.
        """
        worker, done, failed = handover.worker, 0, 0
        state = None if rules.claim_ended(handover.state, self._clock()) else handover.state
        while state is not None and (name := self._next_handler(state, worker)):
            assert state.credentials is not None  # handler runs exist only with credentials
            succeeded = self._handlers.call(name, state.registration, state.credentials)
            done, failed = done + succeeded, failed + (not succeeded)
            state = self._note_run(state, worker, name, succeeded=succeeded)
        return HandlerCount(done, failed)

    def hand_over_safely(self, handover: Handover) -> None:
        """Run the handlers of credentials that are stored; log a failing storage instead of raising.

        The acknowledgement is earned already, so nothing here may change the response.
        """
        try:
            self.hand_over(handover)
        except EmbedError as error:
            logger.error("handler reason=not_noted %s; reconcile() runs it again", error)

    def claim_handlers(self, registration_id: str) -> Handover | None:
        """Claim the handlers of a registration that are due. None if another worker has claimed them."""
        worker = uuid.uuid4().hex

        def decide(known: State | None) -> tuple[Handover | None, State | None]:
            now = self._clock()
            if known is None or not rules.runnable(known, worker, self._handlers.names, now):
                return None, None
            claimed = rules.claimed(known, worker, now)
            return Handover(claimed, worker), claimed

        return self._ledger.change(registration_id, decide)

    def _next_handler(self, state: State, worker: str) -> str | None:
        names = rules.runnable(state, worker, self._handlers.names, self._clock())
        return names[0] if names else None

    def _note_run(self, ran: State, worker: str, name: str, *, succeeded: bool) -> State | None:
        """Store how a run ended. Keep the claim and return the state if more is to run, else release it."""

        def decide(known: State | None) -> tuple[State | None, State | None]:
            if known is None:
                return None, None
            now = self._clock()
            noted = rules.handled(known, name, ran.generation, now, done=succeeded)
            if rules.runnable(noted, worker, self._handlers.names, now):
                following = rules.claimed(noted, worker, now)
                return following, following
            return None, rules.released(noted, worker)

        return self._ledger.change(ran.registration.registration_id, decide)

    # --- ask ------------------------------------------------------------------------------------

    def claim_question(self, registration_id: str, *, every: float) -> State | None:
        """Claim the right to ask the Partner API about an open session.

        None if the session is not open, or was asked about less than `every` seconds ago.
        """

        def decide(known: State | None) -> tuple[State | None, State | None]:
            now = self._clock()
            if known is None or not rules.may_ask(known, now, every=every):
                return None, None
            claimed = rules.asking(known, now)
            return claimed, claimed

        return self._ledger.change(registration_id, decide)

    def ask(self, state: State) -> Result | PartnerError:
        """Ask the Partner API, with the token that created the session. Log its error and return it."""
        registration_id = state.registration.registration_id
        try:
            return self._clients.result(state.token_id, registration_id)
        except PartnerError as error:
            logger.warning("result reason=%s registration_id=%s (%s)", error.code, registration_id, error)
            return error

    def note_result(self, asked: State, result: Result | PartnerError) -> Accepted | None:
        """Store what the Partner API said. Returns what became of the completion, if it reported one."""
        if not isinstance(result, PartnerError) and result.completion is not None:
            accepted = self.accept(result.completion)
            log_outcome("result", result.completion, accepted.outcome)
            return accepted

        def decide(known: State | None) -> tuple[None, State | None]:
            return None, None if known is None else self._after(known, result)

        self._ledger.change(asked.registration.registration_id, decide)
        return None

    def note_expiry(self, registration_id: str) -> bool:
        """Store that an open session has expired, if its time is over. True if it was not stored before."""

        def decide(known: State | None) -> tuple[bool, State | None]:
            if known is None:
                return False, None
            following = rules.expire(known, self._clock())
            return following.registration.status != known.registration.status, following

        return self._ledger.change(registration_id, decide)

    def _after(self, known: State, result: Result | PartnerError) -> State:
        now = self._clock()
        if isinstance(result, PartnerError):
            return rules.unanswered(known, now)
        return rules.answered(known, result.status, now)


def log_outcome(source: str, completion: Completion, outcome: Outcome, label: str = "") -> None:
    """Log what became of a completion, and why."""
    logger.info("%s reason=%s registration_id=%s%s", source, outcome.value, completion.registration_id, label)
