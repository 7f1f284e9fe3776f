"""The test suite of a storage that finds data of an older release, as a pytest class."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ca_embed.storage import AsyncStorage, SealedRecord, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.testing._storage_processes import OpenStorage, record, save_one, together

# Snapshots of all releases hold these records: do not change them.
_SNAPSHOT = (
    record("empty", 1, b""),
    record("long", 2, bytes(range(256)) * 16, user_id="ann", due_at=1_700_000_000.123456),
    record("plain", 3, b"sealed", user_id="ann", due_at=-1.5),
    record("Zoë 🦆", 4, b"sealed", user_id="Zoë 🦆"),
    record("~with a tilde", 1, b"sealed", user_id="ann", due_at=1_800_000_000.0),
)


def write_snapshot(storage: Storage | AsyncStorage) -> None:
    """Save a fixed set of records for `UpgradeContract` in an empty storage, and close it.

    Call it with each release of your storage, and keep the stored data among your tests. A record of
    version 3 is saved three times, as an application would. Raises AssertionError if the storage refuses
    to save a record, for example because it is not empty.
    """
    opened = as_sync(check_storage(storage))
    for wanted in _SNAPSHOT:
        for version in range(1, wanted.version):
            earlier = record(wanted.registration_id, version, b"before", user_id="bob", due_at=1.0)
            assert opened.save(earlier), "the storage refused a record: give write_snapshot an empty one"
        assert opened.save(wanted), "the storage refused a record: give write_snapshot an empty one"
    opened.close()


@pytest.mark.usefixtures("older_release")
class UpgradeContract:
    """The test suite of a storage that finds data of an older release, which `write_snapshot()` wrote.

    A subclass defines two fixtures. `older_release` copies the snapshot of an older release to a place,
    and `open_storage` returns a function without arguments that opens the storage at this place.

        class TestUpgrade(UpgradeContract):
            @pytest.fixture
            def open_storage(self, tmp_path):
                return functools.partial(MyStorage, tmp_path / "records")

            @pytest.fixture(params=["1.0", "1.1"])
            def older_release(self, request, tmp_path):
                shutil.copytree(f"tests/snapshots/{request.param}", tmp_path / "records")

    `open_storage` must be picklable, because it is sent to other processes.
    """

    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        """Return the function that opens the storage. A subclass must define this fixture."""
        raise NotImplementedError("define the fixture open_storage; help(UpgradeContract) shows how")

    @pytest.fixture
    def older_release(self) -> object:
        """Copy the snapshot of an older release to its place. A subclass must define this fixture."""
        raise NotImplementedError("define the fixture older_release; help(UpgradeContract) shows how")

    @pytest.fixture
    def storage(self, open_storage: OpenStorage) -> Iterator[Storage]:
        """The storage with the snapshot in it."""
        storage = as_sync(check_storage(open_storage()))
        yield storage
        storage.close()

    def test_a_snapshot_is_read(self, storage: Storage) -> None:
        """Every record comes back as it was, by its id and in its pages."""
        by_due = sorted((one for one in _SNAPSHOT if one.due_at is not None), key=lambda one: one.due_at or 0)
        assert [storage.load(one.registration_id) for one in _SNAPSHOT] == list(_SNAPSHOT)
        assert list(storage.list(limit=9)) == list(_by_id(_SNAPSHOT))
        assert list(storage.list(user_id="ann", limit=9)) == [
            one for one in _by_id(_SNAPSHOT) if one.user_id == "ann"
        ]
        assert list(storage.due(1e12, limit=9)) == by_due
        assert list(storage.list(user_id="bob", limit=9)) == []

    def test_a_snapshot_can_be_changed(self, storage: Storage) -> None:
        """Old records can be changed and deleted, and new ones can be added."""
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
        """Eight processes open the snapshot first, at the same moment, and all succeed."""
        assert together(open_storage, save_one, processes=8) == [True] * 8
        storage = as_sync(check_storage(open_storage()))
        assert len(storage.list(limit=99)) == 8 + len(_SNAPSHOT)
        storage.close()


def _by_id(records: tuple[SealedRecord, ...]) -> list[SealedRecord]:
    return sorted(records, key=lambda one: one.registration_id)
