"""Turns the setting `storage` into a storage that ca_embed can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca_embed.errors import ConfigurationError
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.storage._urls import storage_from_url

if TYPE_CHECKING:
    from ca_embed.storage._base import AsyncStorage, Storage


def open_storage(storage: str | Storage | AsyncStorage | None) -> Storage:
    """Return the storage that a URL names, or check a given storage object and return it.

    An asynchronous storage is returned behind a `SyncBridge`. Raises ConfigurationError if the setting is
    empty, if the URL is wrong, or if the object is not a storage.
    """
    if storage is None or storage == "":
        raise ConfigurationError(["storage is missing (environment variable CA_EMBED_STORAGE)"])
    if isinstance(storage, str):
        return storage_from_url(storage)
    return as_sync(check_storage(storage))
