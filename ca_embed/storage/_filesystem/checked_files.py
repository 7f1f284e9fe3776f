"""Files with a checksum. They are replaced in one step, flushed to the disk, and checked when they are read.

The first line of a file contains the SHA-256 digest of the rest. Files have mode 0600, folders 0700.
No function follows a symbolic link in place of a file: another user could have planted it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

_MAGIC = b"ca_embed "
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe in place of the file must not make us wait
_HEADER_LENGTH = len(_MAGIC) + 64 + 1


class DamagedFile(Exception):
    """The content of the file does not match its checksum, or it is not a file."""


def write(path: Path, payload: bytes) -> None:
    """Replace the content of the file. The new content is on the disk when this returns.

    After a crash the file has either the old or the new content. Two writers must not write the same path
    at the same time, because both would use the same temporary file.
    """
    temporary = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(_create(temporary), "wb") as file:
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
    with _open(path) as file:
        content = file.read()
    head, payload = content[:_HEADER_LENGTH], content[_HEADER_LENGTH:]
    if head != header_of(payload):
        raise DamagedFile(f"{path} is damaged: restore it from a backup")
    return payload


def read_header(path: Path) -> bytes:
    """Return the first line only. It differs whenever the content differs."""
    with _open(path) as file:
        return file.read(_HEADER_LENGTH)


def header_of(payload: bytes) -> bytes:
    """Return the first line of a file with this content: its checksum."""
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"


def remove(path: Path) -> None:
    """Remove the file. It is removed from the disk when this returns. Raises FileNotFoundError."""
    path.unlink()
    _flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create the folder if it does not exist. Its parent folder must exist. Refuse a symbolic link."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        require_folder(path)
    else:
        _flush_folder(path.parent)


def require_folder(path: Path) -> os.stat_result:
    """Return the status of the folder. Raises NotADirectoryError for a symbolic link to a folder, too."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return status


def _create(path: Path) -> int:
    """Create the file and return its descriptor. Remove what a crash has left there, or a planted link."""
    try:
        return os.open(path, _CREATE, 0o600)
    except FileExistsError:
        path.unlink()
        return os.open(path, _CREATE, 0o600)


def _open(path: Path) -> FileIO:
    try:
        descriptor = os.open(path, _READ)
    except OSError:
        if path.is_symlink():
            raise _no_file(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return FileIO(descriptor)


def _no_file(path: Path) -> DamagedFile:
    return DamagedFile(
        f"{path} is no file, but a link or the like: remove it, restore the file from a backup"
    )


def _flush_folder(path: Path) -> None:
    """Flush the entries of the folder. Without it, a power cut could undo a rename or a removal."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
