"""The test suite of a storage that several processes share, as a pytest class."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from ca_embed.errors import RecordUnreadable, StorageUnavailable
from ca_embed.storage import SealedRecord, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.testing._storage_contract import StorageContract
from ca_embed.testing._storage_processes import (
    OpenStorage,
    killed_while_saving,
    record,
    save_one,
    together,
    use_and_fork,
    win_versions,
)

_LONGEST_OPERATION = 5.0  # seconds, as `Storage` promises


class DurableStorageContract(StorageContract):
    """The test suite of a storage that several processes share: races, forks, crashes and failures.

    It includes the tests of `StorageContract`. A subclass defines three fixtures:

        class TestMyStorage(DurableStorageContract):
            @pytest.fixture
            def open_storage(self, tmp_path):
                return functools.partial(MyStorage, tmp_path / "records")

            @pytest.fixture(params=["locked", "unreachable"])
            def trouble(self, request, tmp_path):
                return ...  # a context manager; inside its block the storage is locked or unreachable

            @pytest.fixture
            def damage(self, tmp_path):
                return ...  # a function of a registration id, which damages the stored record

    `open_storage` must be picklable, because it is sent to other processes: a class, or a
    `functools.partial` of one, from a module that they can import.
    """

    @pytest.fixture
    def trouble(self) -> AbstractContextManager[object]:
        """Return a context manager that makes the storage fail. A subclass must define this fixture."""
        raise NotImplementedError("define the fixture trouble; help(DurableStorageContract) shows how")

    @pytest.fixture
    def damage(self) -> Callable[[str], None]:
        """Return a function that damages one stored record. A subclass must define this fixture."""
        raise NotImplementedError("define the fixture damage; help(DurableStorageContract) shows how")

    @pytest.fixture(name="second")
    def _second(self, open_storage: OpenStorage) -> Iterator[Storage]:
        """The storage of the fixture `storage`, opened a second time."""
        storage = as_sync(check_storage(open_storage()))
        yield storage
        storage.close()

    def test_two_that_share_a_place_see_each_other(self, storage: Storage, second: Storage) -> None:
        """Two that share a place see each other's changes at once."""
        for version in range(1, 10, 2):
            assert storage.save(record("r", version, due_at=1.0)) is True
            assert second.save(record("r", version, b"the same version")) is False
            assert second.save(record("r", version + 1)) is True
            assert storage.load("r") == second.load("r") == record("r", version + 1)
        assert second.delete("r", 10) is True
        assert storage.load("r") is None
        assert list(storage.list(limit=1)) == []

    def test_many_processes_may_start_first(self, open_storage: OpenStorage, storage: Storage) -> None:
        """Eight processes open an empty place at the same moment, and all succeed."""
        assert together(open_storage, save_one, processes=8) == [True] * 8
        assert len(storage.list(limit=9)) == 8

    def test_one_process_wins_each_version(self, open_storage: OpenStorage, storage: Storage) -> None:
        """Only one process saves each version, and the last version is stored."""
        won = together(open_storage, win_versions, processes=4)
        wins = sorted(win for wins in won for win in wins)
        assert [version for version, _ in wins] == list(range(1, len(wins) + 1))
        latest, winner = wins[-1]
        assert storage.load("race") == record("race", latest, str(winner).encode())

    def test_parent_and_child_go_on_after_a_fork(self, open_storage: OpenStorage, storage: Storage) -> None:
        """After a fork beside saving threads, the storage works in parent and child."""
        (succeeded,) = together(open_storage, use_and_fork, processes=1)
        assert succeeded == [True] * 7
        assert storage.load("child-0-4") == record("child-0-4")

    def test_kill_9_loses_nothing_acknowledged(self, open_storage: OpenStorage, storage: Storage) -> None:
        """After a process was killed at any moment, all records that it had saved are there."""
        reported: set[str] = set()
        for _ in range(4):
            saves = random.randint(1, 40)  # noqa: S311 (the moment of a crash, not a secret)
            reported.update(killed_while_saving(open_storage, saves))
        listed = {stored.registration_id: stored for stored in storage.list(limit=10_000)}
        assert reported <= set(listed)
        assert {r.registration_id for r in storage.list(user_id="user", limit=10_000)} == set(listed)
        due = {stored.registration_id for stored in storage.due(1e12, limit=10_000)}
        assert due == {name for name, stored in listed.items() if stored.due_at is not None}
        for registration_id, stored in listed.items():
            assert storage.load(registration_id) == stored
            assert storage.save(record(registration_id, stored.version + 1)) is True

    def test_trouble_is_told_and_passes(
        self, storage: Storage, trouble: AbstractContextManager[object]
    ) -> None:
        """A failing storage raises within 5 s, returns nothing wrong, and saves nothing that it refused."""
        kept = record("kept", 1, user_id="ann", due_at=1.0)
        storage.save(kept)
        with trouble, ThreadPoolExecutor(6) as pool:
            calls = {
                "save": pool.submit(_timed, lambda: storage.save(record("kept", 2, b"x" * 100_000))),
                "create": pool.submit(_timed, lambda: storage.save(record("new", 1, b"x" * 100_000))),
                "load": pool.submit(_timed, lambda: storage.load("kept")),
                "list": pool.submit(_timed, lambda: list(storage.list(limit=9))),
                "user": pool.submit(_timed, lambda: list(storage.list(user_id="ann", limit=9))),
                "due": pool.submit(_timed, lambda: list(storage.due(1.0, limit=9))),
            }
            results = {name: call.result() for name, call in calls.items()}
        assert isinstance(results["save"], StorageUnavailable)
        assert isinstance(results["create"], StorageUnavailable)
        _check_result(results["load"], kept)
        for page in ("list", "user", "due"):
            _check_result(results[page], [kept])
        assert list(storage.list(limit=9)) == [kept]
        assert storage.save(record("kept", 2)) is True

    def test_a_damaged_record_harms_no_other(self, storage: Storage, damage: Callable[[str], None]) -> None:
        """A damaged record raises an error that names it, or comes back damaged; other records are whole.

        It must not look like "not found". A damaged document may come back: the seal refuses it later.
        """
        names = ["a", "b", "c"]
        for name in names:
            storage.save(record(name, document=b"whole" * 100, user_id="ann", due_at=1.0))
        storage.close()
        damage("b")
        damaged = _timed(lambda: storage.load("b"))
        if isinstance(damaged, RecordUnreadable):
            assert damaged.registration_id == "b"
        else:
            assert isinstance(damaged, SealedRecord)
            assert damaged.document != b"whole" * 100
        assert _timed(lambda: storage.save(record("b", 1))) is not True
        for page in (
            storage.list(limit=9),
            storage.list(user_id="ann", limit=9),
            storage.due(1.0, limit=9),
        ):
            assert [stored.registration_id for stored in page] == names
            assert [stored.document == b"whole" * 100 for stored in page] == [True, False, True]
        assert storage.save(record("a", 2)) is True
        assert storage.load("c") == record("c", document=b"whole" * 100, user_id="ann", due_at=1.0)


def _timed(call: Callable[[], object]) -> object:
    """Return the call's result, or the StorageUnavailable that it raises. Fails if it takes too long."""
    began = time.monotonic()
    try:
        return call()
    except StorageUnavailable as error:
        return error
    finally:
        assert time.monotonic() - began < _LONGEST_OPERATION


def _check_result(result: object, right: object) -> None:
    assert isinstance(result, StorageUnavailable) or result == right
