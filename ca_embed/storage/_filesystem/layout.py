"""The folder of the file storage: how it is created and checked, and what its errors mean."""

from __future__ import annotations

import errno
import json
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._existing import NO_STORAGE
from ca_embed.storage._filesystem import checked_files
from ca_embed.storage._filesystem.file_lock import FileLock
from ca_embed.storage._filesystem.ordered_index import OrderedIndex
from ca_embed.storage._filesystem.private_folder import problem_of_folder, problem_of_parents

_FORMAT = 1

_OWN_ENTRIES = {"format", "format.new", "index", "locks", "records"}
_SYSTEM_ENTRIES = {"lost+found"}  # in the root folder of a file system
_REMEDIES = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "the application may not read and write there: give it the folder",
    errno.EPERM: "the application may not read and write there: give it the folder",
    errno.ENOENT: "files are missing: put the folder back, or begin with an empty one",
    errno.ENOTDIR: "there is a file or a link where a folder is needed: remove it, or name another folder",
    errno.ELOOP: "there is a symbolic link where a file is needed: remove it",
}


class FilesystemLayout:
    """The folder of a storage, with its subfolders and files."""

    def __init__(self, folder: Path) -> None:
        """Keep the path. The folder is read when `prepare` is called."""
        self.folder = folder
        self.creates = True  # what is missing in the folder
        self.records = folder / "records"
        self.locks = folder / "locks"
        self.index = OrderedIndex(folder / "index")
        self._format = folder / "format"
        self._index_folder = folder / "index"
        self._identities: dict[Path, tuple[int, int]] = {}  # of the folders in use; empty before `prepare`

    def prepare(self, deadline: float) -> None:
        """Create what is missing in the folder, in one process at a time, and check the format.

        Raises StorageUnavailable if the folder cannot be used. deadline: a time of `time.monotonic()`.
        """
        if self._identities:
            self.require_presence()
            return
        if not (self.creates or self._format.exists() or self.records.exists()):
            raise _unavailable(self.folder, NO_STORAGE)
        self._make_folder()
        if not self._format.exists():
            self._refuse_foreign()
            checked_files.make_folder(self.locks)
            with FileLock(self.locks / "layout").held(deadline):
                self._lay_out(deadline)
        self._require_known_format()
        self._identities = self._identify()

    def require_presence(self) -> None:
        """Raise StorageUnavailable if the folder is missing or replaced, or one of its folders.

        Otherwise a missing file could be taken for a missing record, and a record could be acknowledged
        that is on no page. A missing index is no error here, because reading a record does not need it.
        """
        if not (self._format.exists() and self.records.is_dir()):
            raise _unavailable(self.folder, _REMEDIES[errno.ENOENT])
        for path, identity in self._identify().items():
            if identity != self._identities.get(path, identity):
                raise _unavailable(
                    self.folder,
                    f"{path} was replaced while it was in use: stop the application, check which files "
                    "belong together, then start it again",
                )

    def recheck(self) -> None:
        """Let the next call of `prepare` check the folder again."""
        self._identities = {}

    def _identify(self) -> dict[Path, tuple[int, int]]:
        """Return the device and inode of each folder. Raises NotADirectoryError for a link in a storage."""
        found = {self.folder: self.folder.stat()}
        for path in (self.records, self.locks, self._index_folder):
            with suppress(FileNotFoundError):
                found[path] = checked_files.require_folder(path)
        return {path: (status.st_dev, status.st_ino) for path, status in found.items()}

    def _make_folder(self) -> None:
        if not self.folder.parent.is_dir():
            raise _unavailable(self.folder, f"the folder {self.folder.parent} does not exist: create it")
        if problem := problem_of_parents(self.folder):
            raise _unavailable(self.folder, problem)
        if not self.folder.is_dir():  # it may be a link, which only its owner or root can have made
            checked_files.make_folder(self.folder)
        if problem := problem_of_folder(self.folder):
            raise _unavailable(self.folder, problem)

    def _refuse_foreign(self) -> None:
        foreign = {entry.name for entry in self.folder.iterdir()} - _OWN_ENTRIES - _SYSTEM_ENTRIES
        if foreign:
            raise _unavailable(self.folder, "it holds other files: give ca_embed a folder of its own")

    def _lay_out(self, deadline: float) -> None:
        if self._format.exists():
            return
        checked_files.make_folder(self.records)
        if not any(self.records.iterdir()):  # with records but no index, an empty index would hide them
            self.index.fill((), deadline)
        checked_files.write(self._format, json.dumps({"format": _FORMAT}).encode())

    def _require_known_format(self) -> None:
        try:
            found = json.loads(checked_files.read(self._format))["format"]
        except checked_files.DamagedFile as error:
            raise _unavailable(self.folder, str(error)) from None
        if found > _FORMAT:
            raise _unavailable(
                self.folder,
                f"it has format {found}, and this release knows none newer than {_FORMAT}: install the "
                "release of ca_embed that wrote it, or a later one",
            )


@contextmanager
def translate_errors(folder: Path) -> Generator[None]:
    """Turn each error of this folder in the block into StorageUnavailable, with a remedy."""
    try:
        yield
    except OSError as error:
        problem = _REMEDIES.get(error.errno or 0, "the disk could not be read or written")
        place = f": {error.filename}" if error.filename else ""
        raise _unavailable(folder, f"{problem} ({error.strerror}{place})") from error
    except checked_files.DamagedFile as error:
        raise _unavailable(folder, str(error)) from None


def _unavailable(folder: Path, problem: str) -> StorageUnavailable:
    """Return the error for a problem of this folder."""
    return StorageUnavailable(f"the storage folder {folder}: {problem}")
