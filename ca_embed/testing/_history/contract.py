"""The test of a storage's histories, as a pytest class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from ca_embed.testing._history.recorder import Fault, record_history
from ca_embed.testing._storage_processes import OpenStorage


class HistoryContract:
    """Lets several processes use a storage while faults happen, and checks all that it returned to them.

        class TestMyHistory(HistoryContract):
            @pytest.fixture
            def open_storage(self, tmp_path):
                return functools.partial(MyStorage, tmp_path / "records")

            @pytest.fixture
            def faults(self, server):
                return [Fault("restart", server.restarted)]

    Processes are killed and stopped without further ado. The fixture `faults` adds what else may happen to
    the storage: each `Fault` has a function that returns a context manager. For a long run, raise `calls`.

    `open_storage` must be picklable, as for `DurableStorageContract`.
    """

    calls: ClassVar[int] = 2500
    """How many calls of the storage to make."""

    processes: ClassVar[int] = 3
    """How many processes use the storage at the same time."""

    @pytest.fixture
    def open_storage(self) -> OpenStorage:
        """Return the function that opens the storage. A subclass must define this fixture."""
        raise NotImplementedError("define the fixture open_storage; help(HistoryContract) shows how")

    @pytest.fixture
    def faults(self) -> Sequence[Fault]:
        """Return what happens to the storage meanwhile: nothing, unless a subclass defines this fixture."""
        return ()

    def test_every_call_is_explained(
        self, open_storage: OpenStorage, faults: Sequence[Fault], tmp_path: Path
    ) -> None:
        """Whatever happens, some order of all calls explains what each of them returned."""
        folder = tmp_path / "history"
        folder.mkdir()
        report = record_history(
            open_storage, folder, calls=self.calls, processes=self.processes, faults=faults
        )
        assert not report.violations, str(report)
