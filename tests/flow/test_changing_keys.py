"""Changing the encryption key while two configurations run side by side, and processes start under either."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from itertools import count, product
from pathlib import Path

import pytest
from webtest import TestApp

from ca_embed import Embed
from ca_embed._vault.copying import copy
from ca_embed._vault.keyring import Keyring
from ca_embed._vault.maintenance import Rotation
from ca_embed.errors import ForeignFormat, Tampered, UnknownKey
from ca_embed.storage import MemoryStorage, SQLiteStorage
from ca_embed.storage._base import SealedRecord, Storage
from tests.flow.kit import KEY, OLD_KEY, SECRET, build, delivery
from tests.flow.releases.snapshot import RELEASES, laid_down

BEFORE, ADDED, FIRST, DROPPED = [OLD_KEY], [OLD_KEY, KEY], [KEY, OLD_KEY], [KEY]
NEW_ID, OLD_ID = Keyring(FIRST).key_ids


def deliver(embed: Embed, registration_id: str, at: str = "2026-07-04T10:00:00+00:00") -> int:
    """Deliver a signed webhook through the HTTP door, and return the status of its answer."""
    headers, body = delivery(registration_id=registration_id, completed_at=at)
    status: int = TestApp(embed.wsgi).post("/webhook", body, headers=headers, expect_errors=True).status_int
    return status


class Change:
    """A storage, and the processes that use it. `statuses` are those of all answers."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.running: list[Embed] = []
        self.statuses: list[int] = []
        self.registration_ids: list[str] = []
        self._numbers = count()

    @contextmanager
    def running_under(self, keys: list[str]) -> Iterator[None]:
        """Keep one process running under these keys."""
        with closing(build(storage=self.storage, encryption_keys=keys)) as embed:
            self.running.append(embed)
            self.work(embed)
            yield
            self.work(embed)
            self.running.remove(embed)

    def start(self, keys: list[str]) -> None:
        """Start a process under these keys. It and all that run already get webhooks."""
        with closing(build(storage=self.storage, encryption_keys=keys)) as embed:
            for one in (embed, *self.running):
                self.work(one)

    def work(self, embed: Embed) -> None:
        """Deliver a new completion, repeat earlier ones, and replace the oldest by a newer one."""
        number = next(self._numbers)
        self.registration_ids.append(f"r{number}")
        for registration_id in (*self.registration_ids[:2], *self.registration_ids[-3:]):
            self.statuses.append(deliver(embed, registration_id))
        newer = f"2027-01-01T00:00:00.{number:06}+00:00"
        self.statuses.append(deliver(embed, self.registration_ids[0], at=newer))
        self.statuses.append(TestApp(embed.wsgi).get("/health", expect_errors=True).status_int)


@pytest.mark.parametrize("order", list(product([0, 1], repeat=2)), ids=str)
def test_a_change_in_three_steps_refuses_nothing(order: Sequence[int]) -> None:
    """Processes of either configuration start at any moment of the change, and each webhook gets a 2xx."""
    change = Change(MemoryStorage())
    for former, latter in ((BEFORE, ADDED), (ADDED, FIRST), (FIRST, DROPPED)):
        if latter is DROPPED:
            with closing(build(storage=change.storage, encryption_keys=FIRST)) as operator:
                assert operator.rotate_keys().unreadable == 0
        with change.running_under(former), ExitStack() as deployed:
            for which in order:
                change.start((former, latter)[which])
            deployed.enter_context(change.running_under(latter))
            for which in order:
                change.start((former, latter)[which])
    assert set(change.statuses) == {200}
    with closing(build(storage=change.storage, encryption_keys=DROPPED)) as last:
        assert last.key_usage() == {NEW_ID: len(change.registration_ids)}
        credentials = [last.credentials(one) for one in change.registration_ids]
        assert {one and one.app_secret for one in credentials} == {SECRET}


def test_a_change_under_load(tmp_path: Path) -> None:
    """Threads that start processes of both configurations all the time get nothing but 2xx."""
    statuses: list[int] = []
    url = f"sqlite:///{tmp_path}/r.db"

    def work(name: str, keys: list[str]) -> None:
        for number in range(8):
            with closing(build(storage=url, encryption_keys=keys)) as embed:
                statuses.append(deliver(embed, f"{name}-{number}"))
                statuses.append(deliver(embed, "shared", at=f"2027-01-01T00:00:0{number}Z"))

    for phase, lists in enumerate(([BEFORE, ADDED], [ADDED, FIRST], [FIRST, FIRST], [FIRST, DROPPED])):
        threads = [
            threading.Thread(target=work, args=(f"p{phase}-{n}", keys)) for n, keys in enumerate(lists)
        ]
        for thread in threads:
            thread.start()
        if lists == [FIRST, FIRST]:
            with closing(build(storage=url, encryption_keys=FIRST)) as operator:
                operator.rotate_keys()
        for thread in threads:
            thread.join()
    assert statuses == [200] * (4 * 2 * 16)


def test_the_wrong_order_refuses_only_what_the_new_key_has_sealed(caplog: pytest.LogCaptureFixture) -> None:
    """A process that has only the old key starts and works. One record is refused, and the log says why."""
    storage = MemoryStorage()
    with closing(build(storage=storage, encryption_keys=BEFORE)) as old:
        assert deliver(old, "before") == 200
    with closing(build(storage=storage, encryption_keys=FIRST)) as new:
        assert deliver(new, "by-the-new") == 200
    with closing(build(storage=storage, encryption_keys=BEFORE)) as restarted:
        assert deliver(restarted, "after") == 200
        assert deliver(restarted, "before", at="2027-01-01T00:00:00Z") == 200
        assert TestApp(restarted.wsgi).get("/health").status_int == 200
        caplog.clear()
        assert deliver(restarted, "by-the-new") == 503
        assert "'by-the-new'" in caplog.text
        assert f"sealed under key {NEW_ID}, which this process does not have" in caplog.text
        assert "deploy the key list with the new key last before it is put first" in caplog.text
        assert [one.registration_id for one in restarted.registrations()] == ["after", "before"]
        with pytest.raises(UnknownKey, match="deploy the key list with the new key last"):
            restarted.credentials("by-the-new")
    with closing(build(storage=storage, encryption_keys=FIRST)) as new:
        assert [deliver(new, one) for one in ("before", "by-the-new", "after")] == [200] * 3


def test_dropping_the_old_key_before_the_rotation_refuses_only_what_it_has_sealed() -> None:
    """The error of such a record says that rotate-keys was skipped; all else works."""
    storage = MemoryStorage()
    for keys, registration_id in ((BEFORE, "one"), (FIRST, "two")):
        with closing(build(storage=storage, encryption_keys=keys)) as embed:
            assert deliver(embed, registration_id) == 200
    with closing(build(storage=storage, encryption_keys=DROPPED)) as hasty:
        assert deliver(hasty, "two") == 200
        assert deliver(hasty, "three") == 200
        assert deliver(hasty, "one") == 503
        with pytest.raises(UnknownKey, match="run `ca-embed rotate-keys` before you remove it"):
            hasty.credentials("one")
        assert hasty.rotate_keys() == Rotation(current=2, unreadable=1)
    with closing(build(storage=storage, encryption_keys=FIRST)) as put_right:
        assert put_right.rotate_keys() == Rotation(resealed=1, current=2)


def test_after_the_rotation_the_old_key_alone_fits_no_more() -> None:
    """A process that comes back with the old list says so at its first use, and accepts no webhook."""
    storage = MemoryStorage()
    for keys in (BEFORE, FIRST):
        with closing(build(storage=storage, encryption_keys=keys)) as embed:
            assert deliver(embed, "one") == 200
            embed.rotate_keys()
    with closing(build(storage=storage, encryption_keys=BEFORE)) as left_behind:
        assert deliver(left_behind, "two") == 503
        with pytest.raises(UnknownKey, match=f"this storage is sealed under key {NEW_ID}, which is not"):
            left_behind.registrations()


def test_an_empty_storage_changes_its_key_too() -> None:
    """When no record is left, a rotation still lets the old key go."""
    storage = MemoryStorage()
    with closing(build(storage=storage, encryption_keys=BEFORE)) as old:
        deliver(old, "one")
        record = storage.load("one")
        assert record is not None
        storage.delete("one", record.version)
    with closing(build(storage=storage, encryption_keys=FIRST)) as both:
        assert both.rotate_keys(dry_run=True) == Rotation()
        assert both.rotate_keys() == Rotation()
    with closing(build(storage=storage, encryption_keys=DROPPED)) as new:
        assert deliver(new, "two") == 200


def test_a_rotation_under_wrong_keys_says_so_at_once() -> None:
    """It does not report each record, and changes nothing."""
    storage = MemoryStorage()
    with closing(build(storage=storage, encryption_keys=BEFORE)) as old:
        deliver(old, "one")
    before = storage.list(limit=9)
    with (
        closing(build(storage=storage, encryption_keys=DROPPED)) as wrong,
        pytest.raises(UnknownKey, match="this storage is sealed under key"),
    ):
        wrong.rotate_keys()
    assert storage.list(limit=9) == before


@pytest.mark.parametrize("release", RELEASES)
def test_a_storage_of_an_older_release_changes_its_key(release: str) -> None:
    """What that release has stored stays readable at each step, and opens under the new key in the end."""
    storage, clock = laid_down(release)
    for keys in ([KEY], [KEY, OLD_KEY], [OLD_KEY, KEY], [OLD_KEY]):  # a snapshot is sealed under KEY
        with closing(build(storage=storage, encryption_keys=keys, clock=clock)) as embed:
            assert len(embed.registrations("bob")) == 1
            headers, body = delivery(registration_id="-".join(keys), at=clock())
            assert TestApp(embed.wsgi).post("/webhook", body, headers=headers).status_int == 200
            if keys == [OLD_KEY, KEY]:
                assert embed.rotate_keys().unreadable == 0


def canary_of(storage: MemoryStorage) -> SealedRecord:
    """Return the record that shows whether keys fit."""
    canary = storage.load("~canary")
    assert canary is not None
    return canary


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda document: document[:-1] + bytes([document[-1] ^ 1]), None),
        (lambda document: document + b"cut off", None),
        (lambda document: document[:68] + bytes([document[68] ^ 1]), Tampered),
        (lambda document: b"", ForeignFormat),
        (lambda document: b"x" * 69, ForeignFormat),
    ],
    ids=["another is broken", "something follows", "broken", "empty", "foreign"],
)
def test_a_broken_canary(change: Callable[[bytes], bytes], error: type[Exception] | None) -> None:
    """One part that opens is enough. If none does, the error says what is wrong with the storage."""
    storage = MemoryStorage()
    for keys in (BEFORE, FIRST):
        with closing(build(storage=storage, encryption_keys=keys)) as embed:
            deliver(embed, keys[0])
    canary = canary_of(storage)
    storage.save(replace(canary, version=canary.version + 1, document=change(canary.document)))
    with closing(build(storage=storage, encryption_keys=FIRST)) as embed:
        if error is None:
            assert deliver(embed, "another") == 200
            assert embed.rotate_keys().unreadable == 0
            assert len(canary_of(storage).document) == 69
        else:
            with pytest.raises(error):
                embed.registrations()


def test_a_copy_made_during_the_change_opens_as_its_source_does(tmp_path: Path) -> None:
    """Also if the target has older records: processes with any of the keys may start there."""
    source, target = MemoryStorage(), SQLiteStorage(tmp_path / "target.db")
    with closing(build(storage=source, encryption_keys=BEFORE)) as old:
        deliver(old, "one")
        copy(source, target)
    with closing(build(storage=source, encryption_keys=FIRST)) as both:
        deliver(both, "two")
        assert copy(source, target).written == 1
    for keys, registration_id in ((BEFORE, "one"), (DROPPED, "two")):
        with closing(build(storage=target, encryption_keys=keys)) as there:
            assert deliver(there, registration_id) == 200
