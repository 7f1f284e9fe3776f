"""Maintenance of the stored records: changing keys, erasing users, copying to another storage."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from webtest import TestApp

from ca_embed import Embed, InvalidArgument, StorageUnavailable
from ca_embed._vault.copying import Copied, copy
from ca_embed._vault.keyring import Keyring
from ca_embed._vault.maintenance import Rotation
from ca_embed.errors import UnknownKey
from ca_embed.sandbox import Sandbox
from ca_embed.storage import FilesystemStorage, MemoryStorage, SQLiteStorage
from ca_embed.storage._base import SealedRecord, Storage
from tests.flow.kit import KEY, OLD_KEY, SECRET, Clock, at_sandbox, build, closing, delivery


def complete(embed: Embed, *registration_ids: str, user_id: str = "user_456", **fields: str) -> None:
    """Deliver a completion for each, as ChatArchitect does."""
    app = TestApp(embed.wsgi)
    for registration_id in registration_ids:
        headers, body = delivery(registration_id=registration_id, partner_user_id=user_id, **fields)
        assert app.post("/webhook", body, headers=headers).json == {"status": "accepted"}


def test_rotation_seals_everything_under_the_first_key() -> None:
    """After a rotation no record uses the old key, and the key may be removed."""
    storage = MemoryStorage()
    old = build(storage=storage, encryption_keys=[OLD_KEY])
    both = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    new = build(storage=storage, encryption_keys=[KEY])
    with closing(old, both, new):
        complete(old, "one", "two")
        complete(both, "three")
        assert list(both.key_usage().values()) == [1, 2]
        assert both.rotate_keys() == Rotation(resealed=2, current=1)
        assert list(both.key_usage().values()) == [3, 0]
        credentials = new.credentials("one")
        assert credentials is not None
        assert credentials.app_secret == SECRET


def test_keys_that_do_not_fit_show_at_once() -> None:
    """A storage that was written under other keys is refused at its first use, before a record is read."""
    storage = MemoryStorage()
    first, wrong = build(storage=storage), build(storage=storage, encryption_keys=[OLD_KEY])
    with closing(first, wrong):
        complete(first, "one")
        with pytest.raises(UnknownKey, match="encryption_keys"):
            wrong.registrations()
        answer = TestApp(wrong.wsgi).get("/health", status=503)
        assert answer.json["code"] == "storage_unavailable"


def test_reconciling_under_the_wrong_keys_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    """One error says that the whole storage cannot be opened, instead of one for each record."""
    storage, clock = MemoryStorage(), Clock()
    first = build(storage=storage, clock=clock)
    first.on_completed(lambda registration, credentials: 1 / 0)
    wrong = build(storage=storage, clock=clock, encryption_keys=[OLD_KEY])
    with closing(first, wrong):
        complete(first, "one", "two")
        caplog.clear()
        clock.advance(60)
        with pytest.raises(UnknownKey, match="this storage is sealed under key"):
            wrong.reconcile()
        assert caplog.messages == []


def test_an_old_key_may_go_once_no_record_needs_it() -> None:
    """The record that tells whether the keys fit is sealed under the new key at the first write."""
    storage = MemoryStorage()
    old = build(storage=storage, encryption_keys=[OLD_KEY])
    both = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    new = build(storage=storage, encryption_keys=[KEY])
    with closing(old, both, new):
        complete(old, "one")
        both.forget("user_456")
        complete(both, "two")
        assert [kept.registration_id for kept in new.registrations()] == ["two"]


def test_looking_with_a_new_key_locks_no_process_out() -> None:
    """Counting, listing and a dry run do not disturb a process that has only the old key."""
    storage = MemoryStorage()
    with closing(first := build(storage=storage, encryption_keys=[OLD_KEY])):
        complete(first, "one")
    operator = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    restarted = build(storage=storage, encryption_keys=[OLD_KEY])
    with closing(operator, restarted):
        operator.key_usage()
        operator.registrations()
        operator.rotate_keys(dry_run=True)
        assert restarted.credentials("one") is not None


def test_a_dry_run_changes_nothing() -> None:
    """A dry run counts what a rotation would do."""
    storage = MemoryStorage()
    old = build(storage=storage, encryption_keys=[OLD_KEY])
    both = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    with closing(old, both):
        complete(old, "one")
        assert both.rotate_keys(dry_run=True) == Rotation(resealed=1)
        assert list(both.key_usage().values()) == [0, 1]


def test_rotation_passes_over_what_it_cannot_open(caplog: pytest.LogCaptureFixture) -> None:
    """A record under a lost key is named in the log and not changed.

    The others are sealed under the new key.
    """
    storage = MemoryStorage()
    old = build(storage=storage, encryption_keys=[OLD_KEY])
    both = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    lost = Keyring(["fake-encryption-key-that-got-lost"])
    seen: list[int] = []
    with closing(old, both):
        complete(old, "two")
        sealed = lost.seal(b"{}", registration_id="one", field="document")
        storage.save(SealedRecord("one", 1, None, None, sealed))
        before = storage.load("one")
        assert both.rotate_keys(dry_run=True) == Rotation(resealed=1, unreadable=1)
        with caplog.at_level(logging.ERROR, "ca_embed"):
            assert both.rotate_keys(progress=seen.append) == Rotation(resealed=1, unreadable=1)
        assert "'one'" in caplog.text
        assert storage.load("one") == before
        assert seen == [1, 2]


def test_forgetting_a_user() -> None:
    """All registrations of the user are removed, with their credentials. Those of other users stay."""
    embed = build()
    with closing(embed):
        complete(embed, "one", "two", user_id="leaver")
        complete(embed, "three", user_id="stayer")
        assert embed.forget("leaver") == 2
        assert embed.registrations("leaver") == []
        assert embed.credentials("one") is None
        assert [kept.registration_id for kept in embed.registrations()] == ["three"]
        assert embed.forget("leaver") == 0


@pytest.mark.parametrize("number", [42, UUID(int=42)], ids=str)
def test_a_user_whose_id_is_no_text(number: int | UUID) -> None:
    """All calls take any user id that `identify` may return, and mean the same user."""
    with closing(embed := build()):
        complete(embed, "one", user_id=str(number))
        assert [one.registration_id for one in embed.registrations(number)] == ["one"]
        assert embed.forget(number) == 1


@pytest.mark.parametrize(
    "impossible",
    [None, "", False, True, 4.2, b"ada", "a\nb", 10**5000],
    ids=lambda impossible: f"{impossible!r:.9}" if impossible != 10**5000 else "huge",
)
def test_forgetting_an_impossible_user(impossible: Any) -> None:
    """A value that is not a user id erases nothing."""
    with closing(embed := build()):
        complete(embed, "one", user_id="ada")
        with pytest.raises(InvalidArgument, match="user_id: a user id"):
            embed.forget(impossible)
        assert len(embed.registrations()) == 1


def test_purging_what_has_not_expired_yet(sandbox: Sandbox) -> None:
    """A negative time is refused, because it would remove open sessions."""
    with closing(embed := at_sandbox(sandbox)):
        embed.create_session("user_456")
        with pytest.raises(InvalidArgument, match="older_than"):
            embed.purge_expired(timedelta(days=-1))
        assert embed.purge_expired(timedelta.max) == 0
        assert len(embed.registrations()) == 1


def test_purging_expired_sessions(sandbox: Sandbox) -> None:
    """Only sessions that expired long enough ago are removed. Completed registrations always stay."""
    clock = Clock()
    embed = at_sandbox(sandbox, clock=clock)
    with closing(embed):
        gone = embed.create_session("user_456").registration_id
        done = embed.create_session("user_456").registration_id
        sandbox.complete(done, deliver=False)
        clock.advance(10)
        assert embed.reconcile().completed == 1
        assert embed.purge_expired(timedelta(days=7)) == 0
        clock.advance(8 * 24 * 3600)
        assert embed.purge_expired(timedelta(days=7), dry_run=True) == 1
        assert embed.registration(gone) is not None
        assert embed.purge_expired(timedelta(days=7)) == 1
        assert embed.registration(gone) is None
        assert embed.registration(done) is not None


def test_copying_to_another_storage(tmp_path: Path) -> None:
    """The target opens with the same keys and keeps the owners.

    A second copy finds that all records are there.
    """
    source, target = SQLiteStorage(tmp_path / "source.db"), FilesystemStorage(tmp_path / "target")
    here, there = build(storage=source), build(storage=target)
    with closing(here, there):
        complete(here, "one", "two", "three")
        assert copy(source, target) == Copied(written=3)
        assert copy(source, target) == Copied(present=3)
        assert there.credentials("two") == here.credentials("two")
        assert len(there.registrations("user_456")) == 3


def test_a_copy_refuses_keys_that_do_not_fit_as_its_source_does() -> None:
    """After a copy, a start with wrong keys raises an error. It does not begin with an empty storage."""
    source, target = MemoryStorage(), MemoryStorage()
    first = build(storage=source)
    wrong, right = build(storage=target, encryption_keys=[OLD_KEY]), build(storage=target)
    with closing(first, wrong, right):
        complete(first, "one")
        assert copy(source, target) == Copied(written=1)
        assert copy(source, target) == Copied(present=1)
        with pytest.raises(UnknownKey, match="this storage is sealed under key"):
            wrong.registrations()
        assert right.credentials("one") is not None


@pytest.fixture
def pair() -> Iterator[tuple[Embed, Embed]]:
    """Two applications, each with a storage of its own. The second storage is a copy of the first."""
    here, there = build(storage=MemoryStorage()), build(storage=MemoryStorage())
    with closing(here, there):
        complete(here, "one", "two", "three")
        assert copy_of(here, there) == Copied(written=3)
        yield here, there


def copy_of(here: Embed, there: Embed) -> Copied:
    """Copy the storage of one application to that of the other."""
    return copy(storage_of(here), storage_of(there))


def storage_of(embed: Embed) -> Storage:
    """Return the storage of an application."""
    return embed._core.ledger._storage.inner


def records(embed: Embed) -> dict[str, bytes]:
    """Return the documents of an application's registrations."""
    found = storage_of(embed).list(limit=99)
    return {one.registration_id: one.document for one in found if "~" not in one.registration_id}


def test_a_second_copy_carries_over_what_changed(pair: tuple[Embed, Embed]) -> None:
    """What is new, changed or removed in the source is so in the target after another copy, which says so."""
    here, there = pair
    complete(here, "four", user_id="new")
    complete(here, "two", app_secret="fake-newer-secret", completed_at="2126-01-01T00:00:00+00:00")
    storage_of(here).delete("three", 1)
    did = copy_of(here, there)

    assert did == Copied(written=1, replaced=1, removed=1, present=1)
    assert did.equal
    assert records(there) == records(here)
    credentials = there.credentials("two")
    assert credentials is not None
    assert credentials.app_secret == "fake-newer-secret"
    again = copy_of(here, there)
    assert (again, again.equal) == (Copied(present=3), True)


def test_copies_follow_a_record_again_and_again(pair: tuple[Embed, Embed]) -> None:
    """A record that changes before each copy is replaced by each copy."""
    here, there = pair
    for year in range(2101, 2105):
        complete(here, "two", app_secret=f"fake-secret-{year}", completed_at=f"{year}-01-01T00:00:00+00:00")
        assert copy_of(here, there) == Copied(replaced=1, present=2)
    assert records(there) == records(here)


def test_a_copy_never_overwrites_what_the_targets_application_wrote(pair: tuple[Embed, Embed]) -> None:
    """What the target's own application changed, added or removed stays as it is, in all later copies."""
    here, there = pair
    complete(there, "one", app_secret="fake-secret-there", completed_at="2126-01-01T00:00:00+00:00")
    complete(there, "own")
    storage_of(there).delete("two", 1)
    complete(here, "one", app_secret="fake-secret-here", completed_at="2127-01-01T00:00:00+00:00")
    storage_of(here).delete("three", 1)
    before = records(there)
    for _ in range(2):
        did = copy_of(here, there)
        assert did == Copied(differing=2, only_in_target=2)
        assert not did.equal
        assert records(there) == before


def test_a_copy_from_an_empty_source_removes_nothing(pair: tuple[Embed, Embed]) -> None:
    """A wrong FROM must not empty the target."""
    _, there = pair
    before = records(there)

    assert copy(MemoryStorage(), storage_of(there)) == Copied(only_in_target=3)
    assert records(there) == before


def test_a_copy_that_was_interrupted_goes_on(pair: tuple[Embed, Embed]) -> None:
    """Wherever a copy is cut off, the next one brings all changes over."""
    here, there = pair
    target = storage_of(there)
    complete(here, "two", app_secret="fake-newer-secret", completed_at="2126-01-01T00:00:00+00:00")
    complete(here, "four")
    storage_of(here).delete("three", 1)
    cut_off = 0
    for allowed in range(20):
        writes = iter(range(allowed))

        def cut(act: Any, writes: Any = writes) -> Any:
            def counted(*args: Any) -> Any:
                if next(writes, None) is None:
                    raise KeyboardInterrupt
                return act(*args)

            return counted

        with pytest.MonkeyPatch.context() as patch:
            for name in ("save", "delete"):
                patch.setattr(target, name, cut(getattr(target, name)))
            try:
                copy_of(here, there)
            except KeyboardInterrupt:
                cut_off += 1
    assert cut_off > 1
    assert copy_of(here, there).equal
    assert records(there) == records(here)


def test_a_change_during_the_copy_is_carried_over(pair: tuple[Embed, Embed]) -> None:
    """Equal is said only after a whole pass that found nothing to change."""
    here, there = pair
    seen: list[int] = []

    def change(done: int) -> None:
        if done == 3 and not seen:
            seen.append(done)
            complete(here, "one", app_secret="fake-newer-secret", completed_at="2126-01-01T00:00:00+00:00")

    did = copy(storage_of(here), storage_of(there), progress=change)
    assert (did.replaced, did.equal, seen) == (1, True, [3])
    assert records(there) == records(here)


def test_a_copy_carries_over_rotated_keys(pair: tuple[Embed, Embed]) -> None:
    """After a rotation in the source, the target opens with the new key alone."""
    here, there = pair
    both = build(storage=storage_of(here), encryption_keys=[OLD_KEY, KEY])
    new = build(storage=storage_of(there), encryption_keys=[OLD_KEY])
    with closing(both, new):
        both.rotate_keys()
        assert copy_of(here, there) == Copied(replaced=3)
        assert new.credentials("one") is not None


def test_copying_leaves_what_differs() -> None:
    """A record that the target already has in another state is counted, and not overwritten."""
    source, target = MemoryStorage(), MemoryStorage()
    here, there = build(storage=source), build(storage=target)
    with closing(here, there):
        complete(here, "one")
        complete(there, "one")
        before = target.load("one")
        assert copy(source, target) == Copied(differing=1)
        assert target.load("one") == before


def test_copying_names_what_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    """A record that ca_embed has not sealed is not copied."""
    source, target = MemoryStorage(), MemoryStorage()
    here = build(storage=source)
    with closing(here):
        complete(here, "one")
        record = source.load("one")
        assert record is not None
        source.save(replace(record, version=record.version + 1, document=b"overwritten"))
        assert copy(source, target) == Copied(unreadable=1)
        assert "'one'" in caplog.text
        assert target.load("one") is None


def test_rotating_a_storage_that_fails_says_so() -> None:
    """If the storage fails, the record is not counted as written."""

    class Full(MemoryStorage):
        full = False

        def save(self, record: SealedRecord) -> bool:
            if self.full:
                raise OSError("disk full")
            return super().save(record)

    storage = Full()
    old = build(storage=storage, encryption_keys=[OLD_KEY])
    both = build(storage=storage, encryption_keys=[KEY, OLD_KEY])
    with closing(old, both):
        complete(old, "one")
        storage.full = True
        with pytest.raises(StorageUnavailable):
            both.rotate_keys()
