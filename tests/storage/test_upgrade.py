"""SQLite and files: the records of older releases can be read and changed."""

from __future__ import annotations

from functools import partial

import pytest

from ca_embed.storage import FilesystemStorage, SQLiteStorage
from ca_embed.testing._upgrade_contract import UpgradeContract
from tests.storage.releases import snapshots


@pytest.mark.parametrize("release", snapshots.RELEASES)
class TestSQLite(UpgradeContract):
    """A database."""

    @pytest.fixture
    def open_storage(self, place):
        """Open the database of this test."""
        return partial(SQLiteStorage, place / "ca_embed.db")

    @pytest.fixture
    def older_release(self, release, place):
        """Create the database as the older release stored it."""
        snapshots.restore_sqlite(release, place / "ca_embed.db")


@pytest.mark.parametrize("release", snapshots.RELEASES)
class TestFiles(UpgradeContract):
    """A folder."""

    @pytest.fixture
    def open_storage(self, place):
        """Open the folder of this test."""
        return partial(FilesystemStorage, place / "files")

    @pytest.fixture
    def older_release(self, release, place):
        """Create the folder as the older release stored it."""
        snapshots.restore_files(release, place / "files")
