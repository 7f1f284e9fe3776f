"""Whose storage it is: an Embed of another application on the same storage is noticed before they mix.

A record keeps the addresses and the ids of the partner tokens of the Embeds that use the storage. One that
shares neither an address nor a token with them is refused. So a new token alone, or a new address alone,
locks no one out, and is added.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ca_embed.errors import ForeignStorage
from ca_embed.storage._base import SealedRecord, Storage

_ID = "~owner"  # no registration id has a "~"
_MOST = 20  # addresses or tokens to remember, the latest


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells an application from another: the address of its mount, and the ids of its partner tokens."""

    public_url: str
    token_ids: tuple[str, ...]


class Owner:
    """Checks once that the storage is ours. Only writing makes it ours: a reader leaves no trace."""

    def __init__(self, storage: Storage, identity: Identity) -> None:
        """Take the storage and who we are."""
        self._storage = storage
        self._identity = identity
        self._is_ours = self._is_noted = False

    def before_reading(self) -> None:
        """Raise ForeignStorage if the storage belongs to another application."""
        if not self._is_ours:
            self._check(self._storage.load(_ID))
            self._is_ours = True

    def before_writing(self) -> None:
        """Note that the storage is ours. Raises ForeignStorage if it belongs to another application."""
        while not self._is_noted:
            record = self._storage.load(_ID)
            urls, token_ids = self._check(record)
            noted = (_with(urls, [self._identity.public_url]), _with(token_ids, self._identity.token_ids))
            version = 1 if record is None else record.version + 1
            self._is_noted = noted == (urls, token_ids) or self._storage.save(
                SealedRecord(_ID, version, None, None, json.dumps(noted).encode())
            )

    def _check(self, record: SealedRecord | None) -> tuple[list[str], list[str]]:
        """Return the addresses and token ids that are noted. Raises ForeignStorage if all are others'."""
        urls, token_ids = _read(record)
        if not urls or self._identity.public_url in urls or set(self._identity.token_ids) & set(token_ids):
            return urls, token_ids
        raise ForeignStorage(
            f"this storage belongs to the application at {urls[-1]}, which has another address and other "
            'partner tokens. Give this one a part of its own, Embed(namespace="..."), or another storage. '
            "If it is the same application, start it once with its old address or one of its old tokens"
        )


def _with(known: list[str], others: Sequence[str]) -> list[str]:
    return [*known, *(one for one in others if one not in known)][-_MOST:]


def _read(record: SealedRecord | None) -> tuple[list[str], list[str]]:
    """Return what is noted. Anything else than our own form counts as empty."""
    try:
        urls, token_ids = json.loads(b"[[], []]" if record is None else record.document)
        return [str(url) for url in urls], [str(token_id) for token_id in token_ids]
    except (ValueError, TypeError):
        return [], []
