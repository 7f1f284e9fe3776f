"""Asking the Partner API about open sessions, whose webhook may be lost.

The right to ask is claimed in the storage, so few questions are asked about one session, over all processes.
`ask` calls the Partner API, the other methods touch the storage. So an event loop can run them in different
threads, and a slow Partner API delays no storage call.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ca_embed import _registration as rules
from ca_embed._log import fields
from ca_embed._partner.breaker import Breaker
from ca_embed._partner.clients import PartnerClients
from ca_embed._registration import State
from ca_embed._use_cases.registrar import Accepted, Registrar, log_outcome
from ca_embed._vault.ledger import Ledger
from ca_embed.errors import PartnerBusy, PartnerError, PartnerRejected

if TYPE_CHECKING:  # it brings requests, which is slow to import
    from ca_embed._partner.client import Result

logger = logging.getLogger("ca_embed")


@dataclass(frozen=True, slots=True)
class Noted:
    """What a result of the Partner API changed: a completion was accepted, or an expiry was seen first."""

    accepted: Accepted | None = None
    expired: bool = False


class Questions:
    """Asks about open sessions, and stores what the Partner API says."""

    def __init__(
        self,
        ledger: Ledger,
        clients: PartnerClients,
        breaker: Breaker,
        registrar: Registrar,
        clock: Callable[[], float],
    ) -> None:
        """Ask with these clients, unless the breaker is open. registrar: accepts what is completed."""
        self._ledger = ledger
        self._clients = clients
        self._breaker = breaker
        self._registrar = registrar
        self._clock = clock

    def claim(self, registration_id: str, *, by_page: bool) -> State | None:
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
            accepted = self._registrar.accept(result.completion)
            log_outcome("result", result.completion.registration_id, accepted.outcome)
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

    def _after(self, known: State, result: Result | PartnerError) -> State:
        now = self._clock()
        if isinstance(result, PartnerRejected) and result.partner_status != 429:
            return rules.rejected(known, now)
        if isinstance(result, PartnerError):
            return rules.unreachable(known, now)
        return rules.answered(known, result.status, now)
