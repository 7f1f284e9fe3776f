"""A webhook is lost at no system call: killed there, or failed by the disk. `make crash-points` tries all."""

from __future__ import annotations

from pathlib import Path

import pytest

from ca_embed.storage._filesystem import checked_files
from tests.crash.points import DECISIVE, EIO, KILL, STORAGES, Points, Scene
from tests.crash.traced import has_strace

pytestmark = pytest.mark.skipif(not has_strace(), reason="needs strace: apt-get install strace")
SCENE = "webhook of an open session"


TO_BREAK = {KILL: DECISIVE, EIO: {"fsync", "fdatasync", "rename"}}


@pytest.mark.parametrize("way", TO_BREAK)
@pytest.mark.parametrize("storage", STORAGES)
def test_nothing_is_lost_at_any_call_that_writes(storage: str, way: str, tmp_path: Path) -> None:
    """At each call that changes the disk: nothing lost, torn or in clear text, and all ends well later."""
    points = Points(Scene(storage, SCENE), tmp_path)
    decisive = [point for point in points.all() if point.name in TO_BREAK[way]]
    assert len(decisive) > 3
    problems = [problem for point in decisive if (problem := points.try_one(point, way))]
    assert not problems, "\n".join(problems)


def test_a_file_that_is_written_in_place_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the temporary file and the rename, some point leaves a record that cannot be read."""

    def write_in_place(path: Path, payload: bytes) -> None:
        with path.open("wb", buffering=0) as file:
            file.write(checked_files.header_of(payload))
            file.write(payload)

    points = Points(Scene("files", SCENE), tmp_path)
    monkeypatch.setattr(checked_files, "write", write_in_place)
    writes = [point for point in points.all() if point.name == "write"]
    assert any(points.try_one(point, KILL) for point in writes)
