"""MemoryStorage keeps the contract, within its one process."""

from __future__ import annotations

import pytest

from ca_embed.storage import MemoryStorage
from ca_embed.testing._storage_contract import StorageContract


class TestMemoryStorage(StorageContract):
    """The contract suite, on one instance: another instance has records of its own."""

    @pytest.fixture
    def open_storage(self):
        """Return the same instance at each call."""
        storage = MemoryStorage()
        return lambda: storage
