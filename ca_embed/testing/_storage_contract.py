"""The test suite of every storage, as a pytest class."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import TypeVar

import pytest

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import DueCursor, SealedRecord, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.testing._storage_processes import OpenStorage, record

_T = TypeVar("_T")

_A_WAIT = 1.0  # seconds; after such a wait a storage may say that it is busy
_PATIENCE = 60.0  # seconds to go on calling a busy storage

# Registration ids and user ids that some backend could confuse with each other or with a path.
_NAMES = (
    "plain",
    "Plain",
    "PLAIN",
    "plain ",
    " plain",
    "plain\n",
    "plain%",
    "pl_in",
    "plain'; --",
    'plain"',
    "plain\\",
    "0",
    "00",
    ".",
    "..",
    "../..",
    "/etc/passwd",
    "a/b",
    "~",
    "*",
    "?",
    "\u00e9",  # one character ...
    "e\u0301",  # ... and the same letter in two
    "ß",
    "ss",
    "مرحبا",
    "\u202egnp",
    "你好",
    "🦆",
    "👩\u200d👩\u200d👧",
    "\uffff",  # in the order of UTF-16 units it would come after the next
    "\U00010000",
    "x" * 255,
    "x" * 254 + "y",
    "🦆" * 255,
)
_DOCUMENTS = (b"", b"\n", bytes(range(256)), b"\xff" * 4096, bytes(range(256)) * 256, b"\0" * 262_144)


class StorageContract:
    """The test suite of a storage within one process. A subclass defines the fixture `open_storage`.

        class TestMyStorage(StorageContract):
            @pytest.fixture
            def open_storage(self, tmp_path):
                return functools.partial(MyStorage, tmp_path / "records")

    The suite calls this function several times without arguments. Each call opens the same place, which
    must be empty when a test begins, and returns a Storage or an AsyncStorage. Tests of your own may use
    the fixture `storage`: an opened, empty storage.

    For a storage that several processes share, use `DurableStorageContract`.
    """

    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        """Return the function that opens the storage. A subclass must define this fixture."""
        raise NotImplementedError("define the fixture open_storage; help(StorageContract) shows how")

    @pytest.fixture
    def storage(self, open_storage: OpenStorage) -> Iterator[Storage]:
        """An empty storage, closed after the test."""
        storage = as_sync(check_storage(open_storage()))
        yield storage
        storage.close()

    # ------------------------------------------------------------------------- compare and swap

    def test_what_was_never_saved_is_none(self, storage: Storage) -> None:
        """In an empty storage, load returns None, pages are empty, and delete returns False."""
        assert storage.load("unknown") is None
        assert [*storage.list(limit=10), *storage.list(user_id="unknown", limit=10)] == []
        assert list(storage.due(1e12, limit=10)) == []
        assert storage.delete("unknown", 1) is False

    def test_a_record_comes_back_as_it_was_saved(self, storage: Storage) -> None:
        """All columns and the document come back, with all digits of the time."""
        saved = record("r", 1, b"document", user_id="user", due_at=1_700_000_000.123456)
        assert storage.save(saved) is True
        assert storage.load("r") == saved

    def test_a_place_is_taken_once(self, storage: Storage) -> None:
        """Version 1 is saved only where there is no record: a second one is refused."""
        storage.save(record("r", 1, b"first", user_id="user", due_at=1.0))
        assert storage.save(record("r", 1, b"second", user_id="other")) is False
        assert storage.load("r") == record("r", 1, b"first", user_id="user", due_at=1.0)

    def test_versions_follow_one_another(self, storage: Storage) -> None:
        """Only the version after the stored one is saved."""
        assert storage.save(record("r", 2)) is False
        assert storage.load("r") is None
        assert storage.save(record("r", 1)) is True
        assert storage.save(record("r", 3)) is False
        assert storage.save(record("r", 2, b"two")) is True
        assert storage.save(record("r", 2, b"late")) is False
        assert storage.load("r") == record("r", 2, b"two")

    def test_only_the_known_version_is_deleted(self, storage: Storage) -> None:
        """A delete with another version changes nothing; with the right one it removes the record."""
        storage.save(record("r", 1, user_id="user", due_at=1.0))
        storage.save(record("r", 2, user_id="user", due_at=1.0))
        assert storage.delete("r", 1) is False
        assert storage.delete("r", 3) is False
        assert storage.load("r") is not None
        assert storage.delete("r", 2) is True
        assert storage.delete("r", 2) is False
        assert storage.load("r") is None
        assert [
            *storage.list(limit=9),
            *storage.list(user_id="user", limit=9),
            *storage.due(9, limit=9),
        ] == []
        assert storage.save(record("r", 2)) is False
        assert storage.save(record("r", 1, b"again")) is True

    def test_one_of_64_threads_wins_each_version(self, storage: Storage) -> None:
        """Of 64 threads that save the same version, one gets True, and its document is stored."""
        for version in range(1, 4):
            won = _at_once(64, partial(_save_as, storage, version))
            assert won.count(True) == 1
            assert storage.load("r") == record("r", version, str(won.index(True)).encode())
        deleted = _at_once(64, lambda _: _again_if_busy(lambda: storage.delete("r", 3)))
        assert deleted.count(True) == 1

    def test_threads_do_not_disturb_each_other(self, storage: Storage) -> None:
        """All records that many threads save at the same time are there."""
        assert all(_at_once(32, lambda n: _saved(storage, record(f"r{n:02}", due_at=float(n)))))
        assert _ids(storage.list(limit=99)) == [f"r{n:02}" for n in range(32)]
        assert _ids(storage.due(99, limit=99)) == [f"r{n:02}" for n in range(32)]

    # -------------------------------------------------------------------------- columns and bytes

    @pytest.mark.parametrize("document", _DOCUMENTS, ids=len)
    def test_documents_are_kept_byte_for_byte(self, storage: Storage, document: bytes) -> None:
        """Documents of 0 bytes to 256 KiB come back unchanged, with all byte values."""
        storage.save(record("r", 1, document))
        storage.save(record("s", 1, b"another"))
        assert storage.load("r") == record("r", 1, document)

    def test_names_are_kept_apart(self, storage: Storage) -> None:
        """Ids that look alike, or like paths, are different records. They are sorted by code point."""
        for number, name in enumerate(_NAMES):
            assert storage.save(record(name, 1, str(number).encode())) is True
        for number, name in enumerate(_NAMES):
            assert storage.load(name) == record(name, 1, str(number).encode())
        assert _ids(storage.list(limit=len(_NAMES) + 1)) == sorted(_NAMES)

    def test_users_are_kept_apart(self, storage: Storage) -> None:
        """A user's page has only this user's records, also if the user ids look alike."""
        for number, name in enumerate(_NAMES):
            storage.save(record(f"{number} one", user_id=name))
            storage.save(record(f"{number} two", user_id=name))
        storage.save(record("without a user"))
        for number, name in enumerate(_NAMES):
            found = storage.list(user_id=name, limit=9)
            assert _ids(found) == [f"{number} one", f"{number} two"]
            assert {stored.user_id for stored in found} == {name}

    def test_columns_may_be_empty_and_change(self, storage: Storage) -> None:
        """A changed record leaves the pages of its old columns, and appears in those of the new ones."""
        steps = [(None, None), ("ann", 5.0), ("ann", 6.0), ("bob", 6.0), ("bob", None), (None, 7.0)]
        for version, (user_id, due_at) in enumerate(steps, start=1):
            changed = record("r", version, user_id=user_id, due_at=due_at)
            assert storage.save(changed) is True
            assert storage.load("r") == changed
            assert list(storage.list(limit=9)) == [changed]
            for user in ("ann", "bob"):
                assert list(storage.list(user_id=user, limit=9)) == ([changed] if user == user_id else [])
            for by in (5.0, 6.0, 7.0):
                expected = [changed] if due_at is not None and due_at <= by else []
                assert list(storage.due(by, limit=9)) == expected

    # -------------------------------------------------------------------------------------- pages

    def test_pages_follow_each_other(self, storage: Storage) -> None:
        """Pages of any length together have all records in order, each once."""
        names = [f"r{number:02}" for number in range(25)]
        for name in reversed(names):
            storage.save(record(name, user_id="ann" if name > "r10" else None))
        for limit in (1, 7, 25, 26):
            assert _all_ids(storage, limit) == names
            assert _all_ids(storage, limit, user_id="ann") == [name for name in names if name > "r10"]
        assert _ids(storage.list(limit=2, after="r03 and no such record")) == ["r04", "r05"]
        assert _ids(storage.list(limit=2, after="zzz")) == []

    def test_what_is_due_comes_earliest_first(self, storage: Storage) -> None:
        """`due` sorts by time, then by id, omits later records, and can continue between equal times."""
        times = {
            "b": 2.0,
            "a": 2.0,
            "c": 2.0,
            "z": 1.0,
            "m": 2.5,
            "late": 3.000001,
            "never": None,
            "old": -1.5,
        }
        for name, due_at in times.items():
            storage.save(record(name, due_at=due_at))
        expected = ["old", "z", "a", "b", "c", "m"]
        assert _ids(storage.due(3.0, limit=9)) == expected
        assert _ids(storage.due(2.5, limit=9)) == expected
        assert _ids(storage.due(2.0, limit=9)) == expected[:-1]
        for limit in (1, 2, 4, 6, 7):
            assert _all_due(storage, 3.0, limit) == expected
        assert _ids(storage.due(3.0, limit=1, after=DueCursor(2.0, "bb, which is not there"))) == ["c"]

    @pytest.mark.parametrize("pages", ["all", "of a user", "due"])
    def test_pages_are_stable_under_writes(self, storage: Storage, pages: str) -> None:
        """While other records are added, changed and deleted, an unchanged record appears exactly once."""
        unchanged = [f"r{number:02}-unchanged" for number in range(20)]
        for number, name in enumerate(unchanged):
            storage.save(record(name, due_at=float(number), user_id="ann"))
            storage.save(record(f"r{number:02}-fleeting", due_at=float(number), user_id="ann"))
        seen: list[str] = []
        last: SealedRecord | None = None
        for round_ in count():
            page = _PAGES[pages](storage, last)
            if not page:
                break
            seen += [name for name in _ids(page) if name in unchanged]
            last = page[-1]
            _change_others(storage, round_)
        assert seen == unchanged

    # -------------------------------------------------------------------------------------- close

    def test_the_call_after_close_opens_again(self, storage: Storage) -> None:
        """A storage may be closed before its first use and twice, and loses nothing."""
        storage.close()
        storage.save(record("r", due_at=1.0))
        storage.close()
        storage.close()
        assert storage.load("r") == record("r", due_at=1.0)
        storage.close()
        assert _ids(storage.due(1.0, limit=1)) == ["r"]

    def test_close_lets_running_calls_finish(self, storage: Storage) -> None:
        """A close while other threads save lets them finish."""

        def save_or_close(number: int) -> bool:
            if number % 4 == 0:
                storage.close()
                return True
            return _saved(storage, record(f"r{number:02}"))

        assert all(_at_once(24, save_or_close))
        assert len(storage.list(limit=99)) == 18


def _page_of_all(storage: Storage, last: SealedRecord | None) -> Sequence[SealedRecord]:
    return storage.list(limit=3, after=last.registration_id if last else None)


def _page_of_user(storage: Storage, last: SealedRecord | None) -> Sequence[SealedRecord]:
    return storage.list(limit=3, after=last.registration_id if last else None, user_id="ann")


def _page_of_due(storage: Storage, last: SealedRecord | None) -> Sequence[SealedRecord]:
    cursor = DueCursor(last.due_at or 0.0, last.registration_id) if last else None
    return storage.due(99.0, limit=3, after=cursor)


_PAGES = {"all": _page_of_all, "of a user": _page_of_user, "due": _page_of_due}


def _change_others(storage: Storage, round_: int) -> None:
    """Delete a record, change another, add two: some before the reader's place, some behind it."""
    if round_ < 20:
        storage.delete(f"r{round_:02}-fleeting", 1)
        storage.save(record(f"r{19 - round_:02}-fleeting", 2, due_at=float(round_)))
        storage.save(record(f"r{round_:02}-new", due_at=float(round_), user_id="ann"))
        storage.save(record(f"r{19 - round_:02}-newer", due_at=19.0 - round_, user_id="ann"))


def _save_as(storage: Storage, version: int, number: int) -> bool:
    return _saved(storage, record("r", version, str(number).encode()))


def _saved(storage: Storage, new: SealedRecord) -> bool:
    """Save the record. Return whether it was stored, also if by a call that was refused in the end."""
    calls = count()

    def save() -> bool:
        was_refused = next(calls) > 0
        return storage.save(new) or (was_refused and storage.load(new.registration_id) == new)

    return _again_if_busy(save)


def _again_if_busy(call: Callable[[], _T]) -> _T:
    """Return what the call returns. If it was refused after a wait, the storage is busy: call again.

    A call that is refused at once fails the test, so many threads must not be a reason to refuse.
    """
    give_up = time.monotonic() + _PATIENCE
    while True:
        began = time.monotonic()
        try:
            return call()
        except StorageUnavailable:
            if time.monotonic() - began < _A_WAIT or time.monotonic() > give_up:
                raise


def _at_once(threads: int, act: Callable[[int], _T]) -> list[_T]:
    """Call `act(number)` in that many threads at the same moment. Return the results by number."""
    barrier = threading.Barrier(threads)

    def wait_and_act(number: int) -> _T:
        barrier.wait()
        return act(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # switch threads often, so that races show
    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(wait_and_act, range(threads)))
    finally:
        sys.setswitchinterval(interval)


def _ids(page: Iterable[SealedRecord]) -> list[str]:
    return [stored.registration_id for stored in page]


def _all_ids(storage: Storage, limit: int, user_id: str | None = None) -> list[str]:
    found: list[str] = []
    while page := storage.list(user_id=user_id, limit=limit, after=found[-1] if found else None):
        assert len(page) <= limit
        found += _ids(page)
    return found


def _all_due(storage: Storage, by: float, limit: int) -> list[str]:
    found: list[SealedRecord] = []
    cursor: DueCursor | None = None
    while page := storage.due(by, limit=limit, after=cursor):
        assert len(page) <= limit
        found += page
        cursor = DueCursor(page[-1].due_at or 0.0, page[-1].registration_id)
    return _ids(found)
