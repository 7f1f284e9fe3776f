"""Files with a checksum. They are replaced in one step, flushed to the disk, and checked when they are read.

The first line of a file contains the SHA-256 digest of the rest. Files have mode 0600, folders 0700.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

_MAGIC = b"ca_embed "
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
_HEADER_LENGTH = len(_MAGIC) + 64 + 1


class DamagedFile(Exception):
    """The content of the file does not match its checksum."""


def write(path: Path, payload: bytes) -> None:
    """Replace the content of the file. The new content is on the disk when this returns.

    After a crash the file has either the old or the new content. Two writers must not write the same path
    at the same time, because both would use the same temporary file.
    """
    temporary = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(temporary, _CREATE, 0o600), "wb") as file:
            file.write(header_of(payload) + payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def read(path: Path) -> bytes:
    """Return the content. Raises FileNotFoundError, or DamagedFile if the checksum is wrong."""
    content = path.read_bytes()
    head, payload = content[:_HEADER_LENGTH], content[_HEADER_LENGTH:]
    if head != header_of(payload):
        raise DamagedFile(f"{path} is damaged: restore it from a backup")
    return payload


def read_header(path: Path) -> bytes:
    """Return the first line only. It differs whenever the content differs."""
    with path.open("rb", buffering=0) as file:
        return file.read(_HEADER_LENGTH)


def header_of(payload: bytes) -> bytes:
    """Return the first line of a file with this content: its checksum."""
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"


def remove(path: Path) -> None:
    """Remove the file. It is removed from the disk when this returns. Raises FileNotFoundError."""
    path.unlink()
    _flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create the folder if it does not exist. Its parent folder must exist."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    """Flush the entries of the folder. Without it, a power cut could undo a rename or a removal."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
