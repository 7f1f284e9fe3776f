"""The use cases, in the order in which they happen: create, accept, run the handlers, ask.

Each method either calls the Partner API or touches the storage, never both. So an event loop can run
the two in different threads, and a slow Partner API delays no storage call.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ca_embed import _registration as rules
from ca_embed._config import Settings, fitting_language
from ca_embed._host.handlers import Handlers
from ca_embed._host.heartbeat import Heartbeat
from ca_embed._host.user_ids import UserId, user_id_of
from ca_embed._log import fields
from ca_embed._partner.breaker import Breaker
from ca_embed._partner.clients import PartnerClients
from ca_embed._registration import Claim, Completion, Outcome, Registration, Session, State
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import (
    EmbedError,
    InvalidArgument,
    MismatchedSession,
    NotFound,
    PartnerBusy,
    PartnerError,
    PartnerRejected,
    PartnerUnavailable,
    StorageUnavailable,
)

if TYPE_CHECKING:  # it brings requests, which is slow to import
    from ca_embed._partner.client import Result

logger = logging.getLogger("ca_embed")

_LONGEST_RUN = 15 * 60.0  # seconds after which a handler that still runs counts as failed


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
class Noted:
    """What a result of the Partner API changed: a completion was accepted, or an expiry was seen first."""

    accepted: Accepted | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class HandlerRuns:
    """How many handler runs succeeded, and the names of those that failed."""

    done: int = 0
    failed: tuple[str, ...] = ()


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
        breaker: Breaker,
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
        self._breaker = breaker
        self._heartbeat = Heartbeat()

    def now(self) -> float:
        """Return the time by this process's clock, in Unix seconds."""
        return self._clock()

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
            if known is not None and not known.erased and rules.belongs_to_another(known, created):
                return False, None
            return True, rules.begin(created, token_id, known, names)

        if not self._ledger.change(session.registration_id, decide):
            raise PartnerUnavailable(
                f"ChatArchitect gave out {session.registration_id!r} again, for another user; ask them why"
            )
        self._note_handler_names()
        extra = fields("created", session.registration_id)
        logger.info("sessions reason=created registration_id=%s", session.registration_id, extra=extra)

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

        accepted = self._ledger.change(completion.registration_id, decide, proves=_is_acknowledged)
        if accepted.outcome is Outcome.MISMATCHED:
            raise MismatchedSession(
                f"registration {completion.registration_id!r} was created for another user or state"
            )
        self._note_handler_names()
        return accepted

    def _note_handler_names(self) -> None:
        """Let processes that reconcile know whose handlers they are to leave alone."""
        with suppress(StorageUnavailable):  # noted another time: what matters is stored already
            self._ledger.handler_names.note_once_an_hour(self._handlers.names)

    # --- run the handlers -----------------------------------------------------------------------

    def hand_over(self, handover: Handover, *, without: Collection[str] = ()) -> HandlerRuns:
        """Run the handlers that are due under this claim, and note each as done or failed.

        A handler that fails is due again later. One whose note cannot be stored runs once more. Nothing runs
        if the claim has ended, because this worker waited too long for a thread: others may run it now.
        without: handlers not to run now.
        """
        worker, done, failed = handover.worker, 0, list[str]()
        names = [name for name in self._handlers.names if name not in without]
        state = None if rules.claim_ended(handover.state, self._clock()) else handover.state
        while state is not None and (due := rules.runnable(state, worker, names, self._clock())):
            assert state.credentials is not None  # only accepted credentials have handler runs
            error = self._call(state, worker, due[0])
            done, failed = done + (error is None), failed + ([] if error is None else [due[0]])
            state = self._note_run(state, worker, due[0], error, names)
        return HandlerRuns(done, tuple(failed))

    def hand_over_safely(self, handover: Handover) -> None:
        """Run the handlers of credentials that are stored; log a failing storage instead of raising.

        The acknowledgement is earned already, so nothing here may change the response.
        """
        try:
            self.hand_over(handover)
        except EmbedError as error:
            extra = fields("not_noted", handover.state.registration.registration_id)
            logger.error("handler reason=not_noted %s; reconcile() runs it again", error, extra=extra)

    def claim_handlers(self, registration_id: str, *, without: Collection[str] = ()) -> Handover | None:
        """Claim the handlers of a registration that are due. None if another worker has claimed them."""
        worker = uuid.uuid4().hex
        names = [name for name in self._handlers.names if name not in without]

        def decide(known: State | None) -> tuple[Handover | None, State | None]:
            now = self._clock()
            if known is None or not rules.runnable(known, worker, names, now):
                return None, None
            claimed = rules.claimed(known, worker, now)
            return Handover(claimed, worker), claimed

        return self._ledger.change(registration_id, decide)

    def give_back(self, handover: Handover) -> None:
        """Release a claim under which nothing has run, so that `reconcile()` runs the handlers soon."""
        self._change(
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

    def put_off_handlers(self, registration_id: str, names: Collection[str]) -> None:
        """Put off the due runs of handlers that are not among `names`: no process knows them any more."""
        self._change(registration_id, lambda known: rules.put_off(known, names, self._clock()))

    def _call(self, state: State, worker: str, name: str) -> str | None:
        """Run one handler, and renew the claim while it runs. Returns what it raised."""
        assert state.credentials is not None
        running = _Running(self, state, worker, name)
        with self._heartbeat.during(running.renew):
            return self._handlers.call(name, state.registration, state.credentials)

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

        self._change(state.registration.registration_id, decide)

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

    def _change(self, registration_id: str, change: Callable[[State], State]) -> None:
        """Change a registration that is stored."""

        def decide(known: State | None) -> tuple[None, State | None]:
            return None, None if known is None else change(known)

        self._ledger.change(registration_id, decide)

    # --- ask ------------------------------------------------------------------------------------

    def claim_question(self, registration_id: str, *, by_page: bool) -> State | None:
        """Claim the right to ask the Partner API about an open session.

        None if it may not be asked now: the session is not open, it was asked about a moment ago, another
        worker asks, or the Partner API is down.
        """
        if self._breaker.is_open():
            return None

        def decide(known: State | None) -> tuple[State | None, State | None]:
            now = self._clock()
            may_ask = rules.may_ask if by_page else rules.must_ask
            if known is None or not may_ask(known, now):
                return None, None
            claimed = rules.asking(known, now, by_page=by_page, jitter=random.random())  # noqa: S311 (spread)
            return claimed, claimed

        return self._ledger.change(registration_id, decide)

    def ask(self, state: State) -> Result | PartnerError:
        """Ask the Partner API, with the token that created the session. Log its error and return it."""
        registration_id = state.registration.registration_id
        if not self._breaker.allows():
            return PartnerBusy("the Partner API is down; it is asked again in a while")
        result: Result | PartnerError
        try:
            result = self._clients.result(state.token_id, registration_id)
        except PartnerError as error:
            extra = fields(error.code, registration_id)
            logger.warning(
                "result reason=%s registration_id=%s (%s)", error.code, registration_id, error, extra=extra
            )
            result = error
        self._breaker.report(result)
        return result

    def note_result(self, asked: State, result: Result | PartnerError) -> Noted:
        """Store what the Partner API said, and return what that changed."""
        if not isinstance(result, PartnerError) and result.completion is not None:
            accepted = self.accept(result.completion)
            log_outcome("result", result.completion, accepted.outcome)
            return Noted(accepted=accepted)

        def decide(known: State | None) -> tuple[Noted, State | None]:
            if known is None:
                return Noted(), None
            following = self._after(known, result)
            expired = rules.counts_as_expired(following, self._clock())
            return Noted(expired=expired), replace(following, expiry_counted=True) if expired else following

        return self._ledger.change(asked.registration.registration_id, decide)

    def count_expiry(self, state: State) -> bool:
        """Note that the expiry of a session is counted, if it is over. True if it was not counted before."""
        if not rules.counts_as_expired(state, self._clock()):  # spares a write
            return False

        def decide(known: State | None) -> tuple[bool, State | None]:
            if known is None or not rules.counts_as_expired(known, self._clock()):
                return False, None
            return True, replace(known, expiry_counted=True)

        return self._ledger.change(state.registration.registration_id, decide)

    def check_tombstone(self, registration_id: str) -> None:
        """Note when to look at a tombstone again."""
        self._change(registration_id, lambda known: rules.tombstone_checked(known, self._clock()))

    def _after(self, known: State, result: Result | PartnerError) -> State:
        now = self._clock()
        if isinstance(result, PartnerRejected) and result.partner_status != 429:
            return rules.rejected(known, now)
        if isinstance(result, PartnerError):
            return rules.unreachable(known, now)
        return rules.answered(known, result.status, now)


class _Running:
    """A handler that runs: renews its claim, until it has run too long."""

    def __init__(self, registrar: Registrar, state: State, worker: str, name: str) -> None:
        self._registrar, self._state, self._worker, self._name = registrar, state, worker, name
        self._began = time.monotonic()
        self._renewed = registrar.now()
        self._given_up = False

    def renew(self) -> None:
        """Renew the claim when a third of its lease is over."""
        now = self._registrar.now()
        if self._given_up or self._renewed <= now < self._renewed + rules.HANDLER_LEASE / 3:
            return
        self._given_up = time.monotonic() - self._began > _LONGEST_RUN
        try:
            self._registrar.renew_claim(self._state, self._worker, self._name, give_up=self._given_up)
            self._renewed = now
        except EmbedError as error:  # tried again at the next beat
            extra = fields("not_renewed", self._state.registration.registration_id)
            logger.warning("handler reason=not_renewed name=%s (%s)", self._name, error, extra=extra)


def _is_acknowledged(accepted: Accepted) -> bool:
    """Tell whether the sender hears that its credentials are stored durably."""
    return accepted.outcome is not Outcome.MISMATCHED


def log_outcome(
    source: str,
    completion: Completion,
    outcome: Outcome,
    label: str = "",
    more: Mapping[str, str] | None = None,
) -> None:
    """Log what became of a completion, and why. label: ends the line. more: its fields."""
    registration_id = completion.registration_id
    extra = fields(outcome.value, registration_id, **(more or {}))
    words = source, outcome.value, registration_id, label
    logger.info("%s reason=%s registration_id=%s%s", *words, extra=extra)
