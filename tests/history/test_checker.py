"""The history checker finds each defect that was planted, and accepts storages that have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ca_embed.storage import MemoryStorage
from tests.history.in_threads import record_threads
from tests.history.mutants import MUTANTS


def test_a_right_storage_is_accepted(tmp_path: Path) -> None:
    """The history of a storage without a defect has no violation."""
    report = record_threads(MemoryStorage(), tmp_path, calls=2000)
    assert not report.violations, str(report)
    assert report.acknowledged > 300


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_defect_is_found(mutant: type, tmp_path: Path) -> None:
    """Each mutant is found, and the report shows the call that proves it."""
    report = record_threads(mutant(MemoryStorage()), tmp_path, calls=2000)
    assert report.violations
    assert "<--" in report.violations[0]
