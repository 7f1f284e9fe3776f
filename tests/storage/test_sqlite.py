"""SQLiteStorage keeps the contract, and explains what is wrong with a database."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing, contextmanager
from functools import partial

import pytest

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import SQLiteStorage
from ca_embed.storage._sqlite import schema as sqlite_schema
from ca_embed.storage._sqlite import storage as sqlite_module
from ca_embed.testing._durable_storage_contract import DurableStorageContract
from ca_embed.testing._storage_processes import record, together
from tests.storage.c_fork import save_in_both


@pytest.fixture
def path(place):
    """Where the database of this test is."""
    return place / "ca_embed.db"


@pytest.fixture
def storage(path):
    """A storage in that place."""
    storage = SQLiteStorage(path)
    yield storage
    storage.close()


@contextmanager
def _connection(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection


class TestSQLiteStorage(DurableStorageContract):
    """The contract suite."""

    @pytest.fixture
    def open_storage(self, path):
        """Open the database of this test."""
        return partial(SQLiteStorage, path)

    @pytest.fixture(params=["locked for writing", "locked", "read-only", "disk full", "taken away"])
    def trouble(self, request, path, storage, disk):
        """A failure of the database."""

        @contextmanager
        def locked():
            storage.close()
            with _connection(path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
                yield

        @contextmanager
        def closed_and_read_only():
            storage.close()
            with disk.read_only(path.parent):
                yield

        return {
            "locked for writing": lambda: _connection(path, "BEGIN IMMEDIATE"),
            "locked": locked,
            "read-only": closed_and_read_only,
            "disk full": lambda: disk.full(40_000),
            "taken away": lambda: disk.taken_away(path),
        }[request.param]()

    @pytest.fixture
    def damage(self, path):
        """Damage the sealed document."""

        def spoil(registration_id):
            change = "UPDATE registrations SET document = x'00' WHERE registration_id = ?"
            with _connection(path) as connection:
                connection.execute(change, (registration_id,))

        return spoil


def _refusal(storage):
    with pytest.raises(StorageUnavailable) as caught:
        storage.load("r")
    with pytest.raises(StorageUnavailable):
        storage.save(record("r"))
    return str(caught.value)


def test_files_are_for_their_owner_alone(path, storage):
    """The database and the two files beside it have mode 0600, with any umask."""
    before = os.umask(0)
    try:
        storage.save(record("r"))
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"ca_embed.db": 0o600, "ca_embed.db-wal": 0o600, "ca_embed.db-shm": 0o600}


def test_a_commit_is_flushed(path, storage):
    """Each connection uses a write-ahead log and flushes it at each commit."""
    storage.save(record("r"))
    with storage._connections.lend(deadline=0.0) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("query", ["_LOAD", "_LIST", "_LIST_OF_USER", "_DUE", "_DELETE", "_UPDATE"])
def test_no_query_scans_or_sorts(path, storage, query):
    """Each query finds its rows by an index, in order."""
    storage.save(record("r"))
    statement = getattr(sqlite_module, query)
    with _connection(path) as connection:
        values = [None] * statement.count("?")
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH registrations USING INDEX")


def test_a_missing_folder_is_named(path):
    """A missing folder is not created, because the path may be mistyped."""
    folder = path.parent / "mistyped"
    assert f"its folder {folder} does not exist: create it" in _refusal(SQLiteStorage(folder / "x.db"))
    assert not folder.exists()


def test_a_folder_is_no_database(path):
    """The path of a folder is refused."""
    path.mkdir()
    assert "it is a folder: name a file" in _refusal(SQLiteStorage(path))


def test_another_kind_of_file_is_left_alone(path, storage):
    """A file that is not a database is refused and not changed."""
    path.write_bytes(b"a letter to grandmother\n" * 100)
    assert "it is not a SQLite database" in _refusal(storage)
    assert path.read_bytes() == b"a letter to grandmother\n" * 100


@pytest.mark.parametrize(
    "sign", ["CREATE TABLE users (id)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"]
)
def test_the_database_of_another_program_is_left_alone(path, storage, sign):
    """The database of another program is refused, because its version numbers have other meanings."""
    with _connection(path, sign):
        pass
    before = path.read_bytes()
    assert "it belongs to another program" in _refusal(storage)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(path, storage):
    """A database of a newer release is not changed, and the error says which release to install."""
    storage.save(record("r"))
    storage.close()
    with _connection(path, "PRAGMA user_version = 99"):
        pass
    assert "it has schema 99" in _refusal(storage)


def test_a_migration_runs_once(path, storage, monkeypatch):
    """The first use migrates the database of an older release and keeps its records."""
    storage.save(record("r"))
    storage.close()
    migrations = (*sqlite_schema._MIGRATIONS, ("CREATE TABLE added (column)",))
    monkeypatch.setattr(sqlite_schema, "_MIGRATIONS", migrations)
    for _ in range(2):
        assert storage.load("r") == record("r")
        storage.close()
    with _connection(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM added").fetchone() == (0,)


def test_a_deleted_database_is_missed(path, storage):
    """A deleted file is an error and not an empty storage. After a restart, a new file is created."""
    storage.save(record("r"))
    path.unlink()
    assert "it was deleted while it was in use" in _refusal(storage)
    assert not path.exists()
    storage.close()
    assert storage.load("r") is None


def test_a_replaced_database_is_noticed(path, storage):
    """Nothing is written to a file that was replaced by another."""
    storage.save(record("r"))
    path.with_name("other.db").touch()
    path.with_name("other.db").replace(path)
    assert "it was replaced while it was in use" in _refusal(storage)


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
@pytest.mark.parametrize("loss", ["deleted", "replaced"])
def test_a_lost_companion_is_missed(path, storage, ending, loss):
    """If -wal or -shm is deleted or replaced, nothing more is acknowledged, and the error says so."""
    storage.save(record("r"))
    companion = path.with_name(path.name + ending)
    companion.rename(path.with_name("elsewhere"))
    if loss == "replaced":
        companion.touch()
    assert f"its file ca_embed.db{ending} was {loss} while it was in use" in _refusal(storage)
    companion.unlink(missing_ok=True)
    path.with_name("elsewhere").rename(companion)
    assert storage.save(record("other")) is True


@pytest.mark.parametrize("endings", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids="".join)
def test_a_lost_companion_costs_no_acknowledged_record(path, storage, endings):
    """What was saved before the loss is there for the next process, even if this process is killed."""
    storage.save(record("r"))
    for ending in endings:
        path.with_name(path.name + ending).unlink()
    _refusal(storage)
    copy = path.with_name("as-after-a-kill.db")
    copy.write_bytes(path.read_bytes())
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        copy.with_name(copy.name + "-wal").write_bytes(wal.read_bytes())
    restarted = SQLiteStorage(copy)
    assert restarted.load("r") == record("r")
    restarted.close()
    storage.close()
    assert storage.load("r") == record("r")


@pytest.mark.parametrize("lost", ["", "-wal", "-shm"])
def test_a_commit_into_a_file_that_just_went_is_not_acknowledged(path, storage, lost):
    """A file that is lost during the write makes the write fail."""
    storage.save(record("r"))
    lend = storage._connections.lend_to_write

    @contextmanager
    def lend_and_lose(deadline):
        with lend(deadline) as connection:
            yield connection
            path.with_name(path.name + lost).unlink()

    storage._connections.lend_to_write = lend_and_lose
    with pytest.raises(StorageUnavailable, match="was deleted while it was in use"):
        storage.save(record("r", 2))


def test_companions_may_come_and_go_with_the_connections(path, storage):
    """SQLite removes -wal and -shm with the last connection. The next connection has new ones."""
    for version in range(1, 4):
        assert storage.save(record("r", version)) is True
        storage._connections._close_idle()
        assert [file.name for file in path.parent.iterdir()] == ["ca_embed.db"]
    with pytest.raises(RuntimeError), storage._connections.lend(time.monotonic() + 4.0):
        raise RuntimeError  # a connection that failed is closed
    assert storage.load("r") == record("r", 3)


def test_a_moved_folder_is_missed(place):
    """If the folder is moved, or another is in its place, nothing more is acknowledged."""
    (place / "folder").mkdir()
    storage, other = SQLiteStorage(place / "folder" / "x.db"), SQLiteStorage(place / "other.db")
    storage.save(record("r"))
    (place / "folder").rename(place / "moved")
    assert "it was deleted while it was in use" in _refusal(storage)
    (place / "folder").mkdir()
    other.save(record("r"))
    other.close()
    (place / "other.db").rename(place / "folder" / "x.db")
    assert "it was replaced while it was in use" in _refusal(storage)
    storage.close()


def test_a_damaged_database_is_told(path, storage):
    """Damage in the middle of the file raises an error. It does not look like an empty storage."""
    for number in range(200):
        storage.save(record(f"r{number}", document=b"x" * 500))
    storage.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StorageUnavailable, match="it is damaged: restore it from a backup"):
        storage.list(limit=500)


def test_a_full_database_is_told(storage):
    """If SQLite finds no disk space, the error says so, and the stored records stay."""
    storage.save(record("r"))
    with storage._connections.lend(deadline=0.0) as connection:
        connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StorageUnavailable, match="the disk is full: make room"):
        storage.save(record("big", document=b"x" * 100_000))
    assert storage.load("r") == record("r")


def test_a_connection_is_not_used_in_another_process(path, storage):
    """If code in C forks without Python, the child still opens a connection of its own."""
    assert together(partial(SQLiteStorage, path), save_in_both, processes=1) == [True]
    assert storage.load("child's") == record("child's")


def test_no_connection_is_open_while_python_forks(storage):
    """Idle connections are closed before a fork, because their locks belong to the parent process."""
    storage.save(record("r"))
    gate = storage._connections._gate
    gate.shut()
    try:
        assert storage._connections._idle == []
    finally:
        gate.reopen_in_parent()
    assert storage.load("r") == record("r")


def test_the_first_start_waits_where_sqlite_does_not(path, storage, monkeypatch):
    """Switching to the write-ahead log is repeated while another process writes."""
    with _connection(path, "BEGIN IMMEDIATE") as other:
        monkeypatch.setattr(time, "sleep", lambda _: other.execute("ROLLBACK"))
        assert storage.save(record("r")) is True


def test_a_schema_that_another_process_creates_meanwhile_is_accepted(path):
    """A process that checks the schema while another one creates it accepts the result."""
    with _connection(path, "PRAGMA journal_mode = WAL") as first, _connection(path) as second:

        def let_the_other_be_faster(statement):
            if "sqlite_master" in statement:
                second.set_trace_callback(None)
                sqlite_schema.migrate(first, path)

        second.set_trace_callback(let_the_other_be_faster)
        sqlite_schema.migrate(second, path)
        assert second.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_relative_path_is_meant_from_here(place, monkeypatch):
    """A relative path stays the same if the process changes its current folder."""
    monkeypatch.chdir(place)
    storage = SQLiteStorage("relative.db")
    monkeypatch.chdir("/")
    storage.save(record("r"))
    storage.close()
    assert (place / "relative.db").exists()
