"""Files that are whole or recognisably not: replaced in one step, flushed, and checked when read.

A file's first line holds the SHA-256 digest of all that follows. Files are for their owner alone.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

_MAGIC = b"ca_embed "
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_HEAD = len(_MAGIC) + 64 + 1


class DamagedFile(Exception):
    """The file is torn, or was changed by something else."""


def write(path: Path, payload: bytes) -> None:
    """Give the file this content. It is on the disk when this returns; a crash leaves the old or the new.

    Two writers of one path must not meet: they share the name of the file that is renamed.
    """
    growing = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(growing, _CREATE, 0o600), "wb") as file:
            file.write(head_of(payload) + payload)
            file.flush()
            os.fsync(file.fileno())
        growing.replace(path)
    except OSError:
        with suppress(OSError):
            growing.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def read(path: Path) -> bytes:
    """Return the content. Raises FileNotFoundError, or DamagedFile if it is not what was written."""
    content = path.read_bytes()
    head, payload = content[:_HEAD], content[_HEAD:]
    if head != head_of(payload):
        raise DamagedFile(f"{path} is damaged: restore it from a backup")
    return payload


def read_head(path: Path) -> bytes:
    """Return the first line alone. It is another one whenever the content is."""
    with path.open("rb", buffering=0) as file:
        return file.read(_HEAD)


def head_of(payload: bytes) -> bytes:
    """Return the first line of a file with this content."""
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"


def remove(path: Path) -> None:
    """Remove the file; it is gone from the disk when this returns."""
    path.unlink()
    _flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create the folder if it does not exist; the one it stands in must exist."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    """Flush the names in the folder, without which a crash could undo a rename."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
