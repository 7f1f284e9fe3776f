"""FilesystemStorage keeps the contract, survives a crash at any step, and explains errors."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from ca_embed.errors import RecordUnreadable, StorageUnavailable
from ca_embed.storage import FilesystemStorage
from ca_embed.storage import _index_keys as index_keys
from ca_embed.storage._filesystem import checked_files, ordered_index
from ca_embed.storage._filesystem import storage as filesystem
from ca_embed.testing._durable_storage_contract import DurableStorageContract
from ca_embed.testing._storage_processes import record


@pytest.fixture
def folder(place):
    """The folder of this test."""
    return place / "records"


@pytest.fixture
def storage(folder):
    """A storage in this folder."""
    storage = FilesystemStorage(folder)
    yield storage
    storage.close()


@contextmanager
def _all_locked(*locks):
    with ExitStack() as files:
        for lock in locks:
            file = files.enter_context(lock._path.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class TestFilesystemStorage(DurableStorageContract):
    """The contract suite, with index pages so short that each test splits and removes some."""

    @pytest.fixture(autouse=True)
    def short_pages(self, monkeypatch):
        """Let four keys fill a page."""
        monkeypatch.setattr(ordered_index, "_MAX_PAGE_KEYS", 4)

    @pytest.fixture
    def open_storage(self, folder):
        """Open the folder of this test."""
        return partial(FilesystemStorage, folder)

    @pytest.fixture(params=["locked", "read-only", "disk full", "taken away"])
    def trouble(self, request, folder, storage, disk):
        """A failure of the folder."""
        return {
            "locked": lambda: _all_locked(*storage._locks, storage._index._lock),
            "read-only": lambda: disk.read_only(folder),
            "disk full": lambda: disk.full(10_000),
            "taken away": lambda: disk.taken_away(folder),
        }[request.param]()

    @pytest.fixture(params=["torn", "changed", "emptied", "swapped"])
    def damage(self, request, folder):
        """Damage the file of a record."""

        def spoil(registration_id):
            path = FilesystemStorage(folder)._path_of(registration_id)
            content = path.read_bytes()
            other = FilesystemStorage(folder)._path_of("a").read_bytes()
            middle = len(content) // 2
            changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            spoiled = {"torn": content[:middle], "changed": changed, "emptied": b"", "swapped": other}
            path.write_bytes(spoiled[request.param])

        return spoil


# ------------------------------------------------------------------------------------------ crashes


def _soon():
    return time.monotonic() + 60.0


class _Crash(BaseException):
    """The simulated crash of the process."""


@contextmanager
def _crash_at(step):
    """Crash before the n-th step that changes the disk: a flush, a rename, a new folder, a removal."""
    steps = count(1)

    def crashing(act):
        def wrapped(*args, **kwargs):
            if next(steps) == step:
                raise _Crash
            return act(*args, **kwargs)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", crashing(os.fsync))
        for name in ("mkdir", "replace", "unlink"):
            patch.setattr(Path, name, crashing(getattr(Path, name)))
        yield


BEFORE = record("r", 1, user_id="ann", due_at=5.0)
CHANGES = {
    "change": (lambda storage: storage.save(record("r", 2, user_id="bob", due_at=9.0)), "r"),
    "create": (lambda storage: storage.save(record("new", 1, user_id="ann", due_at=5.0)), "new"),
    "delete": (lambda storage: storage.delete("r", 1), "r"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_crash_at_any_step_leaves_the_old_or_the_new(place, monkeypatch, change):
    """After a crash at any step, all pages show the old or the new record, and it can be changed."""
    monkeypatch.setattr(ordered_index, "_MAX_PAGE_KEYS", 2)
    act, registration_id = CHANGES[change]
    for step in count(1):
        folder = place / str(step)
        storage = FilesystemStorage(folder)
        for neighbour in (
            BEFORE,
            record("a", user_id="ann", due_at=4.0),
            record("z", user_id="bob", due_at=9.5),
        ):
            storage.save(neighbour)
        before = storage.load(registration_id)
        try:
            with _crash_at(step):
                assert act(storage) is True
        except _Crash:
            after = FilesystemStorage(folder)
            _assert_pages_agree(after)
            if after.load(registration_id) == before:
                assert act(after) is True
            _assert_pages_agree(after)
        else:
            break
    assert step > 10


def _assert_pages_agree(storage):
    """Each record is on all its pages, and no stale key remains after they were read."""
    records = [stored for name in ("a", "new", "r", "z") if (stored := storage.load(name))]
    assert list(storage.list(limit=9)) == records
    for user in ("ann", "bob"):
        assert list(storage.list(user_id=user, limit=9)) == [r for r in records if r.user_id == user]
    assert list(storage.due(99.0, limit=9)) == sorted(records, key=lambda r: (r.due_at, r.registration_id))
    keys = {key for stored in records for key in index_keys.keys_of(stored)}
    assert list(storage._index.ascending("")) == sorted(keys)


def test_a_crash_at_any_step_of_the_first_start_is_harmless(place):
    """The next process creates what is missing in the folder."""
    for step in count(1):
        folder = place / str(step)
        try:
            with _crash_at(step):
                FilesystemStorage(folder).load("r")
        except _Crash:
            after = FilesystemStorage(folder)
            assert after.save(record("r")) is True
            assert list(after.list(limit=9)) == [record("r")]
        else:
            break
    assert step > 10


def test_a_file_is_flushed_before_and_after_it_gets_its_name(tmp_path, monkeypatch):
    """The content reaches the disk before the rename, and the rename before the call returns."""
    path, done, fsync, replace = tmp_path / "file", [], os.fsync, Path.replace

    def note_fsync(descriptor):
        done.append(("flush", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def note_replace(source, target):
        done.append(("rename", source.name, target.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    checked_files.write(path, b"payload")
    assert done == [("flush", "file.new"), ("rename", "file.new", "file"), ("flush", tmp_path.name)]


def test_a_record_being_written_is_not_loaded_yet(storage, monkeypatch):
    """`load` waits until a writer has flushed the record."""
    monkeypatch.setattr(filesystem, "_LOCK_WAIT", 0.05)
    storage.save(BEFORE)
    with _all_locked(storage._lock_of("r")), pytest.raises(StorageUnavailable, match="stayed locked"):
        storage.load("r")
    assert storage.load("r") == BEFORE


def test_a_key_that_a_writer_has_just_added_stays(storage):
    """While a writer holds the lock of a record, `due` does not remove its new key."""
    storage.save(BEFORE)
    (key,) = index_keys.keys_of(record("r", due_at=7.0)) - index_keys.keys_of(BEFORE)
    storage._index.add(key, deadline=0.0)
    with _all_locked(*storage._locks):
        assert list(storage.due(9.0, limit=9)) == [BEFORE]
    assert key in list(storage._index.ascending(""))
    assert list(storage.due(9.0, limit=9)) == [BEFORE]
    assert key not in list(storage._index.ascending(""))


def test_a_key_that_became_valid_meanwhile_stays(storage, folder):
    """A key that looks stale is checked again under the lock before it is removed."""
    storage.save(BEFORE)
    (key,) = index_keys.keys_of(record("r", due_at=7.0)) - index_keys.keys_of(BEFORE)
    storage._index.add(key, deadline=0.0)
    remove_stale_key = storage._remove_stale_key

    def save_first(*args):
        FilesystemStorage(folder).save(record("r", 2, due_at=7.0))
        remove_stale_key(*args)

    storage._remove_stale_key = save_first
    storage.due(9.0, limit=9)
    assert list(storage.due(9.0, limit=9)) == [record("r", 2, due_at=7.0)]


# ------------------------------------------------------------------------------------------ folders


def test_everything_is_for_its_owner_alone(folder, storage):
    """Files have mode 0600 and folders 0700, with any umask."""
    before = os.umask(0)
    try:
        storage.save(BEFORE)
    finally:
        os.umask(before)
    for entry in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(entry.stat().st_mode) == (0o700 if entry.is_dir() else 0o600), entry


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777], ids=oct)
def test_a_folder_that_others_may_write_to_is_refused(storage, folder, mode):
    """Others could plant a link in the folder. The error names the command that helps."""
    storage.save(BEFORE)
    storage.close()
    folder.chmod(mode)
    with pytest.raises(StorageUnavailable, match=f"other users may write to it: run `chmod go-w {folder}`"):
        storage.load("r")
    folder.chmod(0o700)
    assert storage.load("r") == BEFORE


@pytest.mark.parametrize("mode", [0o770, 0o777], ids=oct)
def test_a_folder_that_others_could_replace_is_refused(place, mode):
    """Others must not write to a folder above it. Nothing is created there. A sticky bit protects it."""
    shared = place / "shared one"
    (shared / "ours").mkdir(parents=True)
    (place / "link").symlink_to(shared / "ours")
    shared.chmod(mode)
    for folder in (shared / "ours" / "folder", place / "link" / "folder"):
        with pytest.raises(
            StorageUnavailable, match=f"run `chmod go-w '{shared}'`, or `chmod .t '{shared}'`"
        ):
            FilesystemStorage(folder).load("r")
        assert not folder.exists()
    shared.chmod(mode | stat.S_ISVTX)
    assert FilesystemStorage(shared / "ours" / "folder").save(BEFORE) is True


@pytest.mark.parametrize("above", [False, True], ids=["itself", "above it"])
def test_the_folder_of_another_user_is_refused(storage, folder, place, monkeypatch, above):
    """The owner of a folder could change it. The error names that user."""
    storage.save(BEFORE)
    storage.close()
    owner, other = os.geteuid(), os.geteuid() + 1
    real = Path.stat

    def foreign(path, **options):
        status = list(real(path, **options))
        status[4] = other if path == (place if above else folder) else owner
        return os.stat_result(status)

    monkeypatch.setattr(Path, "stat", foreign)
    with pytest.raises(StorageUnavailable, match=f"belongs to user {other}"):
        storage.load("r")


def test_no_planted_link_is_followed(storage, folder, place):
    """Whatever file of the storage is a link, the file that it names is not changed and not read."""
    storage.save(BEFORE)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)) for path in files}
    assert {"format", "index/root", "index/lock", "locks/layout"} < names
    victim = place / "victim"
    for path in [*files, *(path.with_name(f"{path.name}.new") for path in files)]:
        moved = path.rename(place / "moved") if path.exists() else None
        victim.write_bytes(moved.read_bytes() if moved else b"")
        before = victim.read_bytes()
        for _ in range(2):
            storage.close()
            path.unlink(missing_ok=True)
            path.symlink_to(victim)
            for act in (
                lambda: storage.load("r"),
                lambda: storage.save(record("r", storage.load("r").version + 1)),
                lambda: storage.list(limit=9),
                storage.rebuild_index,
            ):
                try:
                    act()
                except StorageUnavailable as error:
                    assert "link" in str(error) or "rebuild_index()" in str(error)  # noqa: PT017
            assert victim.read_bytes() == before
        if moved:
            moved.replace(path)
        else:
            path.unlink(missing_ok=True)
        storage.rebuild_index()
    assert storage.save(record("r", storage.load("r").version + 1)) is True


def test_a_record_that_is_a_link_harms_no_other(storage, place):
    """A planted link or pipe is an unreadable record, and all other records are listed."""
    for name in ("linked", "pipe", "whole"):
        storage.save(record(name))
    path = storage._path_of("linked")
    path.rename(place / "record")
    path.symlink_to(place / "record")
    storage._path_of("pipe").unlink()
    os.mkfifo(storage._path_of("pipe"))
    for name in ("linked", "pipe"):
        with pytest.raises(RecordUnreadable, match="is no file, but a link or the like: remove it"):
            storage.load(name)
    assert [(one.registration_id, one.version) for one in storage.list(limit=9)] == [
        ("linked", 0),
        ("pipe", 0),
        ("whole", 1),
    ]


@pytest.mark.parametrize("name", ["records", "index", "locks", "of the record"])
def test_no_planted_folder_is_followed(storage, folder, place, name):
    """A link in place of a folder of the storage is an error."""
    storage.save(BEFORE)
    storage.close()
    path = storage._path_of("r").parent if name == "of the record" else folder / name
    path.rename(place / "elsewhere")
    path.symlink_to(place / "elsewhere")
    for act in (lambda: storage.load("r"), lambda: storage.save(record("r", 2))):
        with pytest.raises(StorageUnavailable, match="link"):
            act()


def test_the_folder_itself_may_be_a_link(place):
    """A link to the folder was made by us or by root, because no one else may write beside it."""
    (place / "disk").mkdir(mode=0o700)
    (place / "link").symlink_to(place / "disk")
    assert FilesystemStorage(place / "link").save(BEFORE) is True
    assert FilesystemStorage(place / "disk").load("r") == BEFORE


@pytest.mark.parametrize("name", ["", "records", "index", "locks"])
def test_a_replaced_folder_is_noticed(storage, folder, place, name):
    """If another folder is in the place of one in use, nothing is read from it or acknowledged."""
    storage.save(BEFORE)
    shutil.copytree(folder / name, place / "other")
    (folder / name).rename(place / "moved")
    (place / "other").rename(folder / name)
    for act in (
        lambda: storage.load("r"),
        lambda: storage.list(limit=9),
        lambda: storage.save(record("new")),
    ):
        with pytest.raises(StorageUnavailable, match=f"{folder / name} was replaced while it was in use"):
            act()
    storage.close()
    assert storage.save(record("new")) is True


def test_a_record_in_a_folder_that_was_just_replaced_is_not_acknowledged(storage, folder, place, monkeypatch):
    """A folder that is replaced during the write makes the write fail."""
    storage.save(BEFORE)
    write = storage._write

    def write_and_replace(saved):
        write(saved)
        folder.rename(place / "moved")
        shutil.copytree(place / "moved", folder)

    monkeypatch.setattr(storage, "_write", write_and_replace)
    with pytest.raises(StorageUnavailable, match="was replaced while it was in use"):
        storage.save(record("r", 2))


def test_no_id_becomes_a_path(place, storage):
    """File names are digests and numbers, and contain no part of an id."""
    for registration_id in ("../../escape", "/absolute", "recognisable"):
        storage.save(record(registration_id, user_id="recognisable user"))
    names = " ".join(str(file.relative_to(place)) for file in place.rglob("*"))
    assert not any(word in names for word in ("escape", "absolute", "recognisable", ".."))


def test_a_missing_parent_is_named(place):
    """A missing parent folder is not created, because the path may be mistyped."""
    with pytest.raises(StorageUnavailable, match=r"mistyped does not exist: create it"):
        FilesystemStorage(place / "mistyped" / "folder").load("r")
    assert list(place.iterdir()) == []


def test_the_folder_of_another_program_is_left_alone(place, storage, folder):
    """A folder with other files is refused and not changed."""
    folder.mkdir()
    (folder / "letter.txt").touch()
    with pytest.raises(StorageUnavailable, match="it holds other files"):
        storage.save(BEFORE)
    assert [file.name for file in folder.iterdir()] == ["letter.txt"]


def test_a_missing_folder_of_records_is_an_error(storage, folder):
    """A missing folder of records is an error and not an empty storage."""
    storage.save(BEFORE)
    (folder / "records").rename(folder / "moved")
    with pytest.raises(StorageUnavailable, match="files are missing"):
        storage.load("r")


def test_an_empty_folder_and_a_fresh_disk_will_do(storage, folder):
    """The folder may exist, if it is empty or the root folder of a new disk."""
    folder.mkdir()
    (folder / "lost+found").mkdir()
    assert storage.save(BEFORE) is True


def test_a_file_is_no_folder(storage, folder):
    """The path of a file is refused."""
    folder.touch()
    with pytest.raises(StorageUnavailable, match="name another folder"):
        storage.load("r")


def test_a_newer_format_is_refused(storage, folder):
    """The folder of a newer release is not changed, and the error says which release to install."""
    storage.save(BEFORE)
    storage.close()
    checked_files.write(folder / "format", json.dumps({"format": 99}).encode())
    with pytest.raises(StorageUnavailable, match="it has format 99"):
        storage.load("r")


def test_a_damaged_format_is_told(storage, folder):
    """A damaged format file is an error."""
    storage.save(BEFORE)
    storage.close()
    (folder / "format").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="is damaged"):
        storage.load("r")


def test_a_record_in_the_wrong_place_is_an_error(storage):
    """If a record file was copied over another one, the error names the record."""
    storage.save(BEFORE)
    storage.save(record("other"))
    storage._path_of("other").write_bytes(storage._path_of("r").read_bytes())
    with pytest.raises(RecordUnreadable, match=r"'other'.* holds the record of another"):
        storage.load("other")


def test_a_lock_file_that_is_deleted_still_keeps_others_out(storage, monkeypatch):
    """If a lock file is deleted, two writers still cannot hold the lock at the same time."""
    storage.save(BEFORE)
    lock, flock = storage._lock_of("r"), fcntl.flock

    def delete_and_lock(descriptor, operation):
        monkeypatch.undo()
        lock._path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", delete_and_lock)
    with lock.held(_soon()), lock._path.open("w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# -------------------------------------------------------------------------------------------- index


@pytest.mark.parametrize(
    "loss",
    ["a damaged page", "a lost page", "a damaged root", "a lost root", "a lost folder", "a lost format"],
)
def test_a_broken_index_is_told_and_can_be_rebuilt(storage, folder, monkeypatch, loss):
    """No page silently lacks records. The error names `rebuild_index()`, which repairs the index."""
    monkeypatch.setattr(ordered_index, "_MAX_PAGE_KEYS", 4)
    records = [record(f"r{number}", user_id="ann", due_at=1.0) for number in range(9)]
    for saved in records:
        storage.save(saved)
    page = max(
        (file for file in (folder / "index").iterdir() if file.name.isdecimal()), key=lambda f: int(f.name)
    )
    {
        "a damaged page": lambda: page.write_bytes(b"[]"),
        "a lost page": page.unlink,
        "a damaged root": lambda: (folder / "index" / "root").write_bytes(b"{}"),
        "a lost root": (folder / "index" / "root").unlink,
        "a lost folder": lambda: shutil.rmtree(folder / "index"),
        "a lost format": lambda: (
            shutil.rmtree(folder / "index"),
            (folder / "format").unlink(),
            storage.close(),
        ),
    }[loss]()
    with pytest.raises(StorageUnavailable, match=r"rebuild_index\(\)"):
        _all_pages(storage)
    assert storage.load("r3") == records[3]
    storage.rebuild_index()
    assert _all_pages(storage) == (records, records, records)


def _all_pages(storage):
    return storage.list(limit=99), storage.list(user_id="ann", limit=99), storage.due(1.0, limit=99)
