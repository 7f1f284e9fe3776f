"""SQLite and files: each call is explained by some order of all calls, while processes are killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from ca_embed.storage import FilesystemStorage, SQLiteStorage
from ca_embed.testing import Fault, HistoryContract
from ca_embed.testing._storage_processes import OpenStorage


class TestSQLite(HistoryContract):
    """SQLite. Another program locks the database now and then."""

    @pytest.fixture
    def open_storage(self, place: Path) -> OpenStorage:
        """Open the database of this test."""
        return partial(SQLiteStorage, place / "r.db")

    @pytest.fixture
    def faults(self, place: Path) -> Sequence[Fault]:
        """A lock that another program holds."""
        return [Fault("locked", partial(_locked, place / "r.db"))]


class TestFiles(HistoryContract):
    """Files."""

    calls = 1200

    @pytest.fixture
    def open_storage(self, place: Path) -> OpenStorage:
        """Open the folder of this test."""
        return partial(FilesystemStorage, place / "records")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
