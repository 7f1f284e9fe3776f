"""The suite for storages that an older release of theirs has written to.

Once, with that release:

    leave_heirlooms(MyStorage("folder"))

and keep what is then stored, as a file among your tests. From then on:

    class TestUpgrade(UpgradeContract):
        @pytest.fixture
        def open_storage(self, tmp_path):
            return functools.partial(MyStorage, tmp_path / "records")

        @pytest.fixture(params=["1.0", "1.1"])
        def older_release(self, request, tmp_path):
            ...  # put what this release has left where `open_storage` opens it
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ca_embed.storage import AsyncStorage, SealedRecord, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.testing._storage_processes import OpenStorage, record, save_one, together

HEIRLOOMS = (
    record("empty", 1, b""),
    record("long", 2, bytes(range(256)) * 16, user_id="ann", due_at=1_700_000_000.123456),
    record("plain", 3, b"sealed", user_id="ann", due_at=-1.5),
    record("Zoë 🦆", 4, b"sealed", user_id="Zoë 🦆"),
    record("~with a tilde", 1, b"sealed", user_id="ann", due_at=1_800_000_000.0),
)
"""What every release leaves to the next ones: never to be changed."""


def leave_heirlooms(storage: Storage | AsyncStorage) -> None:
    """Save the heirlooms in an empty storage, each as often as its version says."""
    saving = as_sync(check_storage(storage))
    for heirloom in HEIRLOOMS:
        for version in range(1, heirloom.version):
            earlier = record(heirloom.registration_id, version, b"before", user_id="bob", due_at=1.0)
            assert saving.save(earlier), "the storage must be empty"
        assert saving.save(heirloom), "the storage must be empty"
    saving.close()


@pytest.mark.usefixtures("older_release")
class UpgradeContract:
    """What holds for a storage that finds the records of an older release."""

    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        """Return the function that opens the storage under test; a subclass must define this."""
        raise NotImplementedError("define the fixture open_storage, as the head of this module shows")

    @pytest.fixture
    def older_release(self) -> object:
        """Lay down what an older release has left; a subclass must define this."""
        raise NotImplementedError("define the fixture older_release, as the head of this module shows")

    @pytest.fixture
    def storage(self, open_storage: OpenStorage) -> Iterator[Storage]:
        """The storage, with what the older release has left in it."""
        storage = as_sync(check_storage(open_storage()))
        yield storage
        storage.close()

    def test_what_an_older_release_left_is_read(self, storage: Storage) -> None:
        """Every record comes back as it was, by its id and in the pages where it belongs."""
        by_due = sorted((one for one in HEIRLOOMS if one.due_at is not None), key=lambda one: one.due_at or 0)
        assert [storage.load(one.registration_id) for one in HEIRLOOMS] == list(HEIRLOOMS)
        assert list(storage.list(limit=9)) == list(_by_id(HEIRLOOMS))
        assert list(storage.list(user_id="ann", limit=9)) == [
            one for one in _by_id(HEIRLOOMS) if one.user_id == "ann"
        ]
        assert list(storage.due(1e12, limit=9)) == by_due
        assert list(storage.list(user_id="bob", limit=9)) == []

    def test_what_an_older_release_left_can_be_changed(self, storage: Storage) -> None:
        """The versions go on, records go, and new ones come beside them."""
        assert storage.save(record("plain", 3)) is False
        assert storage.save(record("plain", 4, b"changed", user_id="bob", due_at=5.0)) is True
        assert storage.delete("long", 1) is False
        assert storage.delete("long", 2) is True
        assert storage.save(record("new", user_id="ann", due_at=6.0)) is True
        assert [one.registration_id for one in storage.list(user_id="ann", limit=9)] == [
            "new",
            "~with a tilde",
        ]
        assert [one.registration_id for one in storage.due(1e12, limit=9)] == [
            "plain",
            "new",
            "~with a tilde",
        ]

    def test_many_processes_may_upgrade_at_once(self, open_storage: OpenStorage) -> None:
        """Eight processes that are the first of the new release at the same moment all succeed."""
        assert together(open_storage, save_one, processes=8) == [True] * 8
        storage = as_sync(check_storage(open_storage()))
        assert len(storage.list(limit=99)) == 8 + len(HEIRLOOMS)
        storage.close()


def _by_id(records: tuple[SealedRecord, ...]) -> list[SealedRecord]:
    return sorted(records, key=lambda one: one.registration_id)
