"""The partners that the sandbox knows, and the tokens of each."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ca_embed.sandbox._inputs import is_printable_ascii


@dataclass(slots=True, eq=False)
class Partner:
    """One partner. Its tokens may change; its sessions stay its own.

    accepted: the tokens that its calls may have. signing: the token that signs its webhooks.
    """

    accepted: tuple[str, ...] = field(repr=False)
    signing: str = field(repr=False)


class Partners:
    """All partners. At first each has one token.

    hide: gets each token, so that the journal can mask it.
    """

    def __init__(self, tokens: Sequence[str], hide: Callable[[str], None]) -> None:
        """Make a partner for each token. Raises ValueError if there is none, or a token cannot be sent."""
        self._hide = hide
        self._partners = [Partner((token,), token) for token in self._checked("partner_tokens", tokens)]

    @property
    def first(self) -> Partner:
        """The first partner."""
        return self._partners[0]

    def of(self, given: str) -> Partner | None:
        """Return the partner whose calls may have this token, or None."""
        for partner in self._partners:
            for token in partner.accepted:
                # Constant time: the response time must not tell how much of a token is right.
                if hmac.compare_digest(token.encode("utf-8"), given.encode("utf-8")):
                    return partner
        return None

    def change_tokens(self, accepted: Sequence[str], signing: str | None) -> None:
        """Change the tokens of the first partner. Raises ValueError if a token cannot be used."""
        tokens = self._checked("accepted", accepted)
        if any(token in partner.accepted for partner in self._partners[1:] for token in tokens):
            raise ValueError("accepted must not have a token of another partner")
        (signs,) = self._checked("signing", [tokens[0] if signing is None else signing])
        self.first.accepted, self.first.signing = tokens, signs

    def _checked(self, name: str, tokens: Sequence[str]) -> tuple[str, ...]:
        usable = tuple(token for token in tokens if token and is_printable_ascii(token))
        if isinstance(tokens, str) or not usable or len(usable) < len(tokens):
            raise ValueError(f"{name} must be a list of one or more texts of visible ASCII characters")
        for token in usable:
            self._hide(token)
        return usable
