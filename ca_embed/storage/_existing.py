"""Keeps a command that only looks from creating a storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ca_embed.errors import StorageUnavailable
    from ca_embed.storage._base import AsyncStorage, Storage

NO_STORAGE = "there is no storage here: check its path or URL, or start the application, which creates one"


def create_nothing(storage: Storage | AsyncStorage) -> None:
    """Let the storage create no file, folder or table. If there is none, each call raises StorageUnavailable.

    This does nothing for a storage class of the host's own.
    """
    forbid = getattr(storage, "_create_nothing", None)
    if forbid is not None:
        forbid()


def says_there_is_none(error: StorageUnavailable) -> bool:
    """Tell whether the error of a storage that may create nothing says that there is none."""
    return NO_STORAGE in str(error)
