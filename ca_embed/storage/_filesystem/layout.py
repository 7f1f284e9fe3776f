"""The folder of the filesystem storage: laying it out, and saying what is wrong with it."""

from __future__ import annotations

import errno
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._filesystem import checked_files
from ca_embed.storage._filesystem.file_lock import FileLock
from ca_embed.storage._filesystem.ordered_index import OrderedIndex

FORMAT = 1

_OURS = {"format", "format.new", "index", "locks", "records"}
_OF_THE_SYSTEM = {"lost+found"}  # at the root of a file system
_WORDS = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "the application may not read and write there: give it the folder",
    errno.EPERM: "the application may not read and write there: give it the folder",
    errno.ENOENT: "files are missing: put the folder back, or begin with an empty one",
    errno.ENOTDIR: "there is a file where a folder is needed: name another folder",
}


class FilesystemLayout:
    """The folder and what stands in it."""

    def __init__(self, folder: Path) -> None:
        """Nothing is looked at until somebody asks."""
        self.folder = folder
        self.records = folder / "records"
        self.locks = folder / "locks"
        self.index = OrderedIndex(folder / "index")
        self._format = folder / "format"
        self._was_seen = False

    def prepare(self, deadline: float) -> None:
        """See that the folder is laid out; one process does it. Raises StorageUnavailable if it cannot be."""
        if self._was_seen:
            self.require_presence()
            return
        self._make_folder()
        if not self._format.exists():
            self._refuse_foreign()
            checked_files.make_folder(self.locks)
            with FileLock(self.locks / "layout").held(deadline):
                self._lay_out(deadline)
        self._require_known_format()
        self._was_seen = True

    def require_presence(self) -> None:
        """Raise unless the folder is where it was: what is missing in it may stand in another."""
        if not (self._format.exists() and self.records.is_dir()):
            raise unavailable(self.folder, _WORDS[errno.ENOENT])

    def look_anew(self) -> None:
        """Let `prepare` look at the folder again."""
        self._was_seen = False

    def _make_folder(self) -> None:
        if not self.folder.parent.is_dir():
            raise unavailable(self.folder, f"the folder {self.folder.parent} does not exist: create it")
        checked_files.make_folder(self.folder)

    def _refuse_foreign(self) -> None:
        foreign = {entry.name for entry in self.folder.iterdir()} - _OURS - _OF_THE_SYSTEM
        if foreign:
            raise unavailable(self.folder, "it holds other files: give ca_embed a folder of its own")

    def _lay_out(self, deadline: float) -> None:
        if self._format.exists():
            return
        checked_files.make_folder(self.records)
        if not any(self.records.iterdir()):
            self.index.fill((), deadline)
        checked_files.write(self._format, json.dumps({"format": FORMAT}).encode())

    def _require_known_format(self) -> None:
        try:
            found = json.loads(checked_files.read(self._format))["format"]
        except checked_files.DamagedFile as error:
            raise unavailable(self.folder, str(error)) from None
        if found > FORMAT:
            raise unavailable(
                self.folder,
                f"it has format {found}, and this release knows none newer than {FORMAT}: install the "
                "release of ca_embed that wrote it, or a later one",
            )


@contextmanager
def explained(folder: Path) -> Generator[None]:
    """Turn whatever goes wrong in that folder into StorageUnavailable, in words that help."""
    try:
        yield
    except OSError as error:
        words = _WORDS.get(error.errno or 0, "the disk could not be read or written")
        raise unavailable(folder, f"{words} ({error.strerror})") from error
    except checked_files.DamagedFile as error:
        raise unavailable(folder, str(error)) from None


def unavailable(folder: Path, words: str) -> StorageUnavailable:
    """Return the error that says so about the folder."""
    return StorageUnavailable(f"the storage folder {folder}: {words}")
