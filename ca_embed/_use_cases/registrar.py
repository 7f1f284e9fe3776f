"""Creating sessions for users, noting what their pages report, and accepting their completions.

Each method either calls the Partner API or touches the storage, never both. So an event loop can run
the two in different threads, and a slow Partner API delays no storage call.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ca_embed import _registration as rules
from ca_embed._config import Settings, fitting_language
from ca_embed._host.handlers import Handlers
from ca_embed._host.user_ids import UserId, user_id_of
from ca_embed._log import as_text, fields
from ca_embed._partner.clients import PartnerClients
from ca_embed._registration import Claim, Completion, Outcome, Registration, Session, State
from ca_embed._use_cases.handler_runner import Handover
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import (
    InvalidArgument,
    MismatchedSession,
    NotFound,
    PartnerUnavailable,
    StorageUnavailable,
)

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
class Accepted:
    """What became of a completion. With a `handover`, this worker must run the handlers now."""

    outcome: Outcome
    handover: Handover | None = None


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
    """Registers users with ChatArchitect, and stores the credentials that come of it.

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
            if known is not None and not known.erased and rules.belongs_to_another(known, created):
                return False, None
            return True, rules.begin(created, token_id, session.iframe_url, known, names)

        if not self._ledger.change(session.registration_id, decide):
            raise PartnerUnavailable(
                f"ChatArchitect gave out {session.registration_id!r} again, for another user; ask them why"
            )
        self._note_handler_names()
        extra = fields("created", session.registration_id)
        logger.info("sessions reason=created registration_id=%s", session.registration_id, extra=extra)

    # --- what the page reports ------------------------------------------------------------------

    def note_step(self, registration_id: str, step: str) -> None:
        """Store a step that the page reports, if it is further than the stored one."""

        def decide(known: State | None) -> tuple[None, State | None]:
            return None, None if known is None else rules.stepped(known, step)

        self._ledger.change(registration_id, decide)

    # --- disconnect -----------------------------------------------------------------------------

    def disconnect(self, registration_id: str) -> State:
        """Erase the credentials of a registration for good. Raises NotFound, StorageUnavailable."""

        def decide(known: State | None) -> tuple[State | None, State | None]:
            if known is None or known.erased:
                return None, None
            following = rules.disconnected(known)
            return following, following

        ended = self._ledger.change(registration_id, decide, proves=lambda state: state is not None)
        if ended is None:
            raise NotFound(f"registration {registration_id!r} is not known here")
        extra = fields("disconnected", registration_id)
        logger.info("disconnect reason=disconnected registration_id=%s", registration_id, extra=extra)
        return ended

    # --- accept ---------------------------------------------------------------------------------

    def accept(self, completion: Completion) -> Accepted:
        """Store the credentials of a completion, exactly once. Raises MismatchedSession, StorageUnavailable.

        When this returns, accepted credentials are on stable storage.
        """
        worker = secrets.token_hex(16)

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
            raise MismatchedSession(registration_id=completion.registration_id)
        self._note_handler_names()
        return accepted

    def _note_handler_names(self) -> None:
        """Let processes that reconcile know whose handlers they are to leave alone."""
        with suppress(StorageUnavailable):  # noted another time: what matters is stored already
            self._ledger.handler_names.note_once_an_hour(self._handlers.all_names)


def _is_acknowledged(accepted: Accepted) -> bool:
    """Tell whether the sender hears that its credentials are stored durably."""
    return accepted.outcome is not Outcome.MISMATCHED


def log_outcome(
    source: str, registration_id: str | None, outcome: Outcome, labels: Mapping[str, str] | None = None
) -> None:
    """Log what became of a completion or an event, and why. labels: of the request that brought it."""
    extra = fields(outcome.value, registration_id, **(labels or {}))
    words = source, outcome.value, registration_id or "-", as_text(labels or {})
    logger.info("%s reason=%s registration_id=%s%s", *words, extra=extra)
