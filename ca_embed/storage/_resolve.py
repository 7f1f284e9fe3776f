"""From what a host application names as its storage to one that can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca_embed.errors import ConfigurationError
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.storage._urls import storage_from_url

if TYPE_CHECKING:
    from ca_embed.storage._base import AsyncStorage, Storage


def open_storage(storage: str | Storage | AsyncStorage | None) -> Storage:
    """Return the storage of a URL, or the given one if it keeps the contract. Raises ConfigurationError."""
    if storage is None or storage == "":
        raise ConfigurationError(["storage is missing (environment variable CA_EMBED_STORAGE)"])
    if isinstance(storage, str):
        return storage_from_url(storage)
    return as_sync(check_storage(storage))
