"""One Partner API client for each live partner token, and which token makes a call."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from ca_embed._frames import clears_locals
from ca_embed._log import fields
from ca_embed._webhook import token_id
from ca_embed.errors import PartnerRejected

if TYPE_CHECKING:  # it imports requests, which is slow to import
    from ca_embed._partner.client import PartnerClient, Result, Retry
    from ca_embed._registration import Session

logger = logging.getLogger("ca_embed")

CREATE_DEADLINE = 25.0  # seconds; with 5 of waiting for a thread, a browser is answered within 30
ASK_DEADLINE = 10.0  # seconds
TRIED_LAST_FOR = 300.0  # seconds that a refused token waits behind the others

_UNAUTHORIZED = 401
_T = TypeVar("_T")


class PartnerClients:
    """A Partner API client for each configured token. The first call opens a connection.

    The first token that ChatArchitect accepts makes the call: a 401 to one token is followed by the next.
    A token that was refused is tried after the others for five minutes, and then in its own place again.
    So while tokens are being changed, a process loses one call in five minutes to a token that is not valid.

    Calls raise InvalidArgument or PartnerError. All tokens together have the time of one call.
    """

    def __init__(self, base_url: str, tokens: Sequence[str]) -> None:
        """Take the base URL, and the tokens with the newest first."""
        self._base_url = base_url
        self._tokens = {token_id(token): token for token in tokens}
        self._refused_at: dict[str, float] = {}  # by token id; seconds of the monotonic clock

    def create_session(self, **fields: Any) -> tuple[Session, str]:
        """Create a session from the arguments of `PartnerClient.create_session`.

        Returns it with the id of the token that was accepted.
        """
        return self._call(CREATE_DEADLINE, None, lambda client: client.create_session(**fields))

    def result(self, token_id: str, registration_id: str) -> Result:
        """Ask for the status of a registration. The token that created it is tried first.

        token_id: the id of that token.
        """
        found, _ = self._call(ASK_DEADLINE, token_id, lambda client: client.result(registration_id))
        return found

    def retry_webhook(self, token_id: str, registration_id: str) -> Retry:
        """Ask for a webhook again. The token that created the registration is tried first.

        token_id: the id of that token.
        """
        retry, _ = self._call(ASK_DEADLINE, token_id, lambda client: client.retry_webhook(registration_id))
        return retry

    def close(self) -> None:
        """Close the pooled connections. The next call opens new ones."""
        if "_clients" in self.__dict__:  # cached_property stores it there; do not make clients to close them
            for client in self._clients.values():
                client.close()

    def _call(
        self, seconds: float, creator: str | None, call: Callable[[PartnerClient], _T]
    ) -> tuple[_T, str]:
        """Make a call with the first token that is accepted. Return its result and the token's id."""
        ends = time.monotonic() + seconds
        *others, last = self._order(creator)
        for identity in others:
            try:
                return self._call_with(identity, ends, call)
            except PartnerRejected as error:
                if error.partner_status != _UNAUTHORIZED or time.monotonic() >= ends:
                    raise
                self._note_refusal(identity)
        return self._call_with(last, ends, call)

    def _order(self, creator: str | None) -> list[str]:
        """Return the ids of the tokens in the order in which a call tries them: refused ones come last.

        creator: the id of the token that created the session, which comes before those not refused.
        """
        now = time.monotonic()

        def rank(identity: str) -> tuple[bool, bool]:
            refused = now - self._refused_at.get(identity, -TRIED_LAST_FOR) < TRIED_LAST_FOR
            return refused, identity != creator

        return sorted(self._tokens, key=rank)  # it keeps the order of equals: the newest first

    def _call_with(self, identity: str, ends: float, call: Callable[[PartnerClient], _T]) -> tuple[_T, str]:
        result = call(self._clients[identity]._within(ends - time.monotonic()))
        self._refused_at.pop(identity, None)
        return result, identity

    def _note_refusal(self, identity: str) -> None:
        self._refused_at[identity] = time.monotonic()
        place = list(self._tokens).index(identity)
        text = "partner reason=token_refused token=%d; the next one is tried"
        logger.warning(text, place, extra=fields("token_refused"))

    @cached_property
    @clears_locals
    def _clients(self) -> dict[str, PartnerClient]:
        from ca_embed._partner.client import PartnerClient

        return {identity: PartnerClient(self._base_url, token) for identity, token in self._tokens.items()}
