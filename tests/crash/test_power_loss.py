"""A power cut takes nothing that was acknowledged, and the test finds each flush that is left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from ca_embed.storage._filesystem import checked_files
from ca_embed.storage._sqlite import connections
from tests.crash.power_loss import STORAGES, cut_everywhere_in_memory
from tests.crash.traced import has_strace

pytestmark = pytest.mark.skipif(not has_strace(), reason="needs strace: apt-get install strace")


@pytest.mark.parametrize("storage", STORAGES)
def test_what_was_acknowledged_is_left(storage: str) -> None:
    """After each acknowledgement, the power is cut: the record is there, whole, and on its pages."""
    figures = cut_everywhere_in_memory(storage, records=6, only_after_answers=True)
    assert figures.moments > 20
    assert not figures.problems, "\n".join(figures.problems)


def test_a_disk_at_any_moment_can_be_used() -> None:
    """Also between the system calls of a commit, SQLite's files are whole, and go on."""
    figures = cut_everywhere_in_memory("SQLite", records=2)
    assert not figures.problems, "\n".join(figures.problems)


# --- what must be found --------------------------------------------------------------------------


def _without_flush_of_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checked_files, "os", _Os(fsync=_flush_folders_only))


def _without_flush_of_folders(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checked_files, "_flush_folder", lambda _: None)


def _synchronous(level: str) -> Callable[[pytest.MonkeyPatch], None]:
    class Careless(connections._Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            return super().execute(statement.replace("synchronous = FULL", f"synchronous = {level}"), *values)

    return lambda patch: patch.setattr(connections, "_Connection", Careless)


class _Os:
    """The module `os` with another function in it."""

    def __init__(self, **functions: Callable[..., object]) -> None:
        self._functions = functions

    def __getattr__(self, name: str) -> object:
        return self._functions.get(name) or getattr(checked_files_os, name)


checked_files_os = checked_files.os


def _flush_folders_only(descriptor: int) -> None:
    if checked_files_os.path.isdir(f"/proc/self/fd/{descriptor}"):
        checked_files_os.fsync(descriptor)


MUTANTS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "files are not flushed": ("files", _without_flush_of_files),
    "folders are not flushed": ("files", _without_flush_of_folders),
    "synchronous=NORMAL": ("SQLite", _synchronous("NORMAL")),
    "synchronous=OFF": ("SQLite", _synchronous("OFF")),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_flush_that_is_left_out_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, a power cut takes a record that was acknowledged, or tears it."""
    storage, plant = MUTANTS[name]
    plant(monkeypatch)
    assert cut_everywhere_in_memory(storage, records=3, only_after_answers=True).problems
