"""MemoryStorage keeps the contract, within its one process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_embed.storage import MemoryStorage
from ca_embed.storage import _sorted_keys as sorted_keys_module
from ca_embed.storage._sorted_keys import SortedKeys
from ca_embed.testing._storage_contract import StorageContract


class TestMemoryStorage(StorageContract):
    """The suite, on one instance: another one would be another place."""

    @pytest.fixture
    def open_storage(self):
        """Open the place of this test."""
        storage = MemoryStorage()
        return lambda: storage


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60).map(str))), st.integers(0, 60).map(str))
def test_sorted_keys_are_a_sorted_set(changes, start):
    """After any adding and removing, the keys after any start are those of a set, sorted."""
    expected, keys = set(), SortedKeys()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_keys_module, "LONGEST_RUN", 4)
        for adding, key in changes:
            if adding and key not in expected:
                keys.add(key)
                expected.add(key)
            elif not adding and key in expected:
                keys.remove(key)
                expected.remove(key)
            assert bool(keys) == bool(expected)
        assert list(keys.after(start)) == sorted(key for key in expected if key > start)
