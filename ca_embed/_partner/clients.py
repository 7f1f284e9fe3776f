"""One Partner API client for each live partner token."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ca_embed._frames import clears_locals
from ca_embed._webhook import token_id

if TYPE_CHECKING:  # it imports requests, which is slow to import
    from ca_embed._partner.client import PartnerClient

CREATE_DEADLINE = 25.0  # seconds; with 5 of waiting for a thread, a browser is answered within 30


class PartnerClients:
    """A Partner API client for each configured token. The first call opens a connection."""

    def __init__(self, base_url: str, tokens: Sequence[str]) -> None:
        """Take the base URL, and the tokens with the newest first."""
        self._base_url = base_url
        self._tokens = {token_id(token): token for token in tokens}
        self.newest_id = token_id(tokens[0])

    @property
    def newest(self) -> PartnerClient:
        """The client for new sessions."""
        return self._clients[self.newest_id]

    def of(self, identity: str) -> PartnerClient:
        """Return the client of a token by its id, or the newest client if that token is gone."""
        return self._clients.get(identity, self.newest)

    def close(self) -> None:
        """Close the pooled connections. The next call opens new ones."""
        if "_clients" in self.__dict__:  # cached_property stores it there; do not make clients to close them
            for client in self._clients.values():
                client.close()

    @cached_property
    @clears_locals
    def _clients(self) -> dict[str, PartnerClient]:
        from ca_embed._partner.client import PartnerClient

        return {
            identity: PartnerClient(self._base_url, token, create_deadline=CREATE_DEADLINE)
            for identity, token in self._tokens.items()
        }
