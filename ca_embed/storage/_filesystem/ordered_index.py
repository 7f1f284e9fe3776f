"""A sorted set of texts in files. It holds any number of them, for many readers and one writer at a time.

How it works
------------
The texts are called keys. They are in pages: files with at most _MAX_PAGE_KEYS keys each. The file
`root` says which page begins with which key. A page ends where the next page begins. To find, add or
remove a key costs one page, however many keys there are. The root is kept in memory, and is read again
when it has changed: when a page was split or dropped.

Each file is replaced in one step (see `checked_files`), and the order of the steps makes a crash
harmless. To split a page, the writer writes its upper half as a new page, then the root, then the lower
half in place of the whole page. Until the last step, the old page ends with keys that the root assigns
to the new page, and readers ignore them. An empty page is removed from the root first, and then from
the disk. After a crash, a removed key may be back, or a page file may remain that the root does not name.

Readers take no lock. After a reader has read a page, it checks the root. If the root has changed, the
reader reads the page again. The number of a page is never reused.

Why not SQLite
--------------
SQLite has no checksums: in a trial, a changed byte of a key silently hid a record from `list`, where a
page raises an error. SQLite's write-ahead log does not work on network drives, and with its other journal
it took 4.4 ms to create a record, and these files take 4.0 ms. The index of a folder of release 0.1.0 would
have to be converted, so the code that reads these pages would stay, or the first start would read all
records, which takes a minute and a half for a million.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ca_embed.errors import StorageUnavailable
from ca_embed.storage._filesystem import checked_files
from ca_embed.storage._filesystem.file_lock import FileLock

_MAX_PAGE_KEYS = 512


@dataclass(frozen=True, slots=True)
class _Root:
    """The first key of each page. The first page also contains all keys before its first key."""

    firsts: tuple[str, ...]
    pages: tuple[int, ...]
    next_page: int
    header: bytes  # of the root file, to notice a change

    @classmethod
    def from_bytes(cls, payload: bytes) -> _Root:
        content = json.loads(payload)
        firsts, pages = zip(*content["pages"], strict=True)
        return cls(("", *firsts[1:]), pages, content["next_page"], checked_files.header_of(payload))

    def entries(self) -> list[tuple[str, int]]:
        return list(zip(self.firsts, self.pages, strict=True))

    def place_of(self, key: str) -> int:
        return bisect_right(self.firsts, key) - 1

    def end_of(self, place: int) -> str | None:
        return self.firsts[place + 1] if place + 1 < len(self.firsts) else None


class OrderedIndex:
    """A set of keys in code point order, stored in one folder.

    Each `deadline` is a time of `time.monotonic()`: until then, a writer waits for other writers.
    """

    def __init__(self, folder: Path) -> None:
        """Keep the folder. `fill` must have been called once, in any process, before the index is used."""
        self._folder = folder
        self._lock = FileLock(folder / "lock")
        self._known: _Root | None = None

    def add(self, key: str, deadline: float) -> None:
        """Add the key, if it is not there. It is on the disk when this returns."""
        with self._lock.held(deadline):
            self._change(key, present=True)

    def discard(self, key: str, deadline: float) -> None:
        """Remove the key, if it is there."""
        with self._lock.held(deadline):
            self._change(key, present=False)

    def ascending(self, start: str) -> Iterator[str]:
        """Yield the keys from `start` on, inclusive. Pages are read one by one, so later changes appear."""
        at: str | None = start
        while at is not None:
            keys, end = self._page_with(at)
            yield from islice(keys, bisect_left(keys, at), None)
            at = end

    def fill(self, keys: Iterable[str], deadline: float) -> None:
        """Replace all keys of the index with these."""
        ordered = sorted(set(keys))
        checked_files.make_folder(self._folder)
        with self._lock.held(deadline):
            first_page = self._unused_page()
            entries: list[tuple[str, int]] = []
            for begin in range(0, max(len(ordered), 1), _MAX_PAGE_KEYS // 2):
                page, number = ordered[begin : begin + _MAX_PAGE_KEYS // 2], first_page + len(entries)
                self._write_page(number, page)
                entries.append((page[0] if page else "", number))
            self._write_root(entries, first_page + len(entries))
            for number in range(first_page):
                self._remove_page(number)

    def _change(self, key: str, *, present: bool) -> None:
        root = self._root()
        place = root.place_of(key)
        keys = self._keys(root, place)
        at = bisect_left(keys, key)
        if present == (keys[at : at + 1] == [key]):
            return
        keys[at : at + (not present)] = [key] if present else []
        if len(keys) > _MAX_PAGE_KEYS:
            self._split(root, place, keys)
        elif keys or len(root.pages) == 1:
            self._write_page(root.pages[place], keys)
        else:
            self._drop(root, place)

    def _split(self, root: _Root, place: int, keys: list[str]) -> None:
        lower, upper = keys[: len(keys) // 2], keys[len(keys) // 2 :]
        self._write_page(root.next_page, upper)
        entries = root.entries()
        entries.insert(place + 1, (upper[0], root.next_page))
        self._write_root(entries, root.next_page + 1)
        self._write_page(root.pages[place], lower)

    def _drop(self, root: _Root, place: int) -> None:
        entries = root.entries()
        del entries[place]
        self._write_root(entries, root.next_page)
        self._remove_page(root.pages[place])

    def _page_with(self, key: str) -> tuple[list[str], str | None]:
        """Return the keys of the page for this key, and the first key of the next page (None at the end)."""
        while True:
            root = self._root()
            place = root.place_of(key)
            try:
                keys = self._keys(root, place)
            except StorageUnavailable:
                if self._is_current(root):
                    raise
            else:
                if self._is_current(root):
                    return keys, root.end_of(place)

    def _keys(self, root: _Root, place: int) -> list[str]:
        keys: list[str] = json.loads(self._read(self._path_of(root.pages[place])))
        end = root.end_of(place)
        begins = bisect_left(keys, root.firsts[place])
        return keys[begins : None if end is None else bisect_left(keys, end)]

    def _root(self) -> _Root:
        known = self._known
        if known is None or not self._is_current(known):
            known = self._known = _Root.from_bytes(self._read(self._folder / "root"))
        return known

    def _is_current(self, root: _Root) -> bool:
        try:
            return checked_files.read_header(self._folder / "root") == root.header
        except (FileNotFoundError, checked_files.DamagedFile):
            return False

    def _read(self, path: Path) -> bytes:
        try:
            return checked_files.read(path)
        except (FileNotFoundError, checked_files.DamagedFile):
            raise StorageUnavailable(
                f"the index file {path} is missing or damaged; the records are not: stop the application "
                "and call rebuild_index() on the FilesystemStorage of this folder"
            ) from None

    def _write_page(self, number: int, keys: list[str]) -> None:
        checked_files.write(self._path_of(number), json.dumps(keys).encode())

    def _write_root(self, entries: list[tuple[str, int]], next_page: int) -> None:
        payload = json.dumps({"next_page": next_page, "pages": entries}).encode()
        checked_files.write(self._folder / "root", payload)
        self._known = _Root.from_bytes(payload)

    def _remove_page(self, number: int) -> None:
        with suppress(OSError):  # the root no longer names the page, so it only takes disk space
            self._path_of(number).unlink()

    def _path_of(self, page: int) -> Path:
        return self._folder / str(page)

    def _unused_page(self) -> int:
        return 1 + max(
            (int(file.name) for file in self._folder.iterdir() if file.name.isdecimal()), default=0
        )
