"""Fixtures that make a disk fail."""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

_UNPRIVILEGED_UID = 65534


@pytest.fixture
def place():
    """A folder that another user of the machine can reach."""
    with tempfile.TemporaryDirectory(prefix="ca_embed-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def _read_only(root):
    """Make a folder and its content read-only. If the tests run as root, act as another user meanwhile."""
    files = [root, *root.rglob("*")]
    modes = {file: file.stat().st_mode for file in files}
    us = os.geteuid()
    for file in files:
        file.chmod(0o555 if file.is_dir() else 0o444)
    try:
        if us == 0:
            os.seteuid(_UNPRIVILEGED_UID)
        yield
    finally:
        os.seteuid(us)
        for file, mode in modes.items():
            file.chmod(mode)


@contextmanager
def _full_disk(size):
    """Let no file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _taken_away(path):
    """Move a file or folder to another place for the length of the block."""
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(path)


@pytest.fixture
def disk():
    """The context managers that make a disk fail."""
    return SimpleNamespace(read_only=_read_only, full=_full_disk, taken_away=_taken_away)
