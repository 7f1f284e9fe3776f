"""A disk that forgets: what a power cut may leave of the files that a process has written.

The system calls of the process are read from a log of strace. What was written to a file is safe after
`fsync` or `fdatasync` of the file; a new name, another name or a removal after `fsync` of the folder. Of
anything else a power cut may leave all, nothing, or any part.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

TRACED: Final = (
    "close,creat,dup,dup2,fallocate,fdatasync,fsync,ftruncate,lseek,mkdir,mkdirat,open,openat,pwrite64,"
    "pwritev,rename,renameat,renameat2,rmdir,unlink,unlinkat,write,writev"
)
_SECTOR = 512
_LINE = re.compile(r"^(\d+) +(.*)$", re.DOTALL)
_CALL = re.compile(r"^(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

State: TypeAlias = dict[str, bytes | None]
"""The content of each file by its path; None for a folder."""


@dataclass(frozen=True, slots=True)
class Event:
    """One system call that succeeded."""

    name: str
    arguments: str
    texts: list[bytes]
    result: int

    @property
    def first(self) -> int:
        """The first argument, if it is a file descriptor."""
        return int(self.arguments.partition(",")[0])

    @property
    def last(self) -> int:
        """The last argument, if it is a number."""
        return int(self.arguments.rpartition(",")[2])


@dataclass(slots=True, eq=False)
class _File:
    is_folder: bool = False
    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut off there

    def left(self, chance: random.Random | None, *, everything: bool) -> bytes:
        """Return what a power cut leaves: all, nothing of what is pending, or a part of it."""
        content = bytearray(self.safe)
        for offset, data in self.pending:
            if not everything and (chance is None or chance.random() < 0.5):
                continue
            if data is not None and chance is not None and chance.random() < 0.3:
                _put(content, offset, data[: chance.randrange(0, len(data) + 1, _SECTOR)])
            else:
                _put(content, offset, data)
        return bytes(content)


class ForgetfulDisk:
    """The files below a folder, as the system calls leave them."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is empty and stays."""
        self._folder = str(folder)
        self._names: dict[str, _File] = {}
        self._safe_names: dict[str, _File] = {}
        self._pending: list[tuple[str, dict[str, _File | None]]] = []  # folder, and what changes in it
        self._open: dict[int, tuple[str, _File, int]] = {}  # path, file, position

    def happen(self, event: Event) -> bool:
        """Let a system call happen. Return whether it concerned the disk."""
        match event.name:
            case "open" | "openat" | "creat":
                return self._opened(event)
            case "close":
                return self._open.pop(event.first, None) is not None
            case "mkdir" | "mkdirat":
                return self._named(_path(event), _File(is_folder=True))
            case "unlink" | "unlinkat" | "rmdir":
                return self._named(_path(event), None)
            case "rename" | "renameat" | "renameat2":
                return self._renamed(*(text.decode() for text in event.texts))
        return event.first in self._open and self._written(event)

    def left(self, *, data: bool, names: bool, chance: random.Random | None = None) -> State:
        """Return what a power cut leaves now.

        data, names: whether all that is pending is left, or nothing of it. chance: leave a part of it.
        """
        found = dict(self._safe_names)
        for _, changes in self._pending:
            if names or (chance is not None and chance.random() < 0.5):
                _apply(found, changes)
        left: State = {self._folder: None}
        for path, file in sorted(found.items()):  # a folder comes before what is in it
            if str(PurePosixPath(path).parent) in left and not path.endswith("-shm"):
                left[path] = None if file.is_folder else file.left(chance, everything=data)
        del left[self._folder]
        return left

    def _opened(self, event: Event) -> bool:
        path = event.texts[0].decode()
        if path == self._folder:
            self._open[event.result] = (path, _File(is_folder=True), 0)
        elif path.startswith(f"{self._folder}/"):
            if path not in self._names and "O_CREAT" in event.arguments:
                self._named(path, _File())
            file = self._names[path]
            if "O_TRUNC" in event.arguments:
                file.pending.append((0, None))
            self._open[event.result] = (path, file, 0)
        else:
            return False
        return True

    def _named(self, path: str, file: _File | None) -> bool:
        return self._changed(str(PurePosixPath(path).parent), {path: file})

    def _renamed(self, old: str, new: str) -> bool:
        if old not in self._names:
            return False
        return self._changed(str(PurePosixPath(new).parent), {old: None, new: self._names[old]})

    def _changed(self, folder: str, changes: dict[str, _File | None]) -> bool:
        if folder != self._folder and folder not in self._names:
            return False
        _apply(self._names, changes)
        self._pending.append((folder, changes))
        return True

    def _written(self, event: Event) -> bool:
        path, file, position = self._open[event.first]
        match event.name:
            case "fsync" | "fdatasync":
                self._flush(path, file)
            case "write":
                file.pending.append((position, event.texts[0][: event.result]))
                self._open[event.first] = (path, file, position + event.result)
            case "pwrite64":
                file.pending.append((event.last, event.texts[0][: event.result]))
            case "ftruncate":
                file.pending.append((event.last, None))
            case "lseek":
                self._open[event.first] = (path, file, event.result)
            case _:
                raise AssertionError(f"the model does not know {event.name}")
        return True

    def _flush(self, path: str, file: _File) -> None:
        for offset, data in file.pending:
            _put(file.safe, offset, data)
        file.pending.clear()
        for folder, changes in self._pending:
            if folder == path:
                _apply(self._safe_names, changes)
        self._pending = [(folder, changes) for folder, changes in self._pending if folder != path]


def events(log: Path) -> Iterator[Event]:
    """Yield the system calls of a log that succeeded, as they ended; a `close` as it began."""
    unfinished: dict[str, str] = {}
    for line in log.read_text().splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun = text.removesuffix("<unfinished ...>").rstrip()
            if begun.startswith("close("):
                # The number is free at once: another thread may get it before this call ends.
                yield Event("close", begun.removeprefix("close("), [], 0)
            else:
                unfinished[thread] = begun
            continue
        if text.startswith("<..."):
            if thread not in unfinished:
                continue
            text = unfinished.pop(thread) + text.partition("resumed>")[2].lstrip()
        if (call := _CALL.match(text)) and int(call[3]) >= 0:
            texts = [bytes.fromhex(part.replace("\\x", "")) for part in _TEXT.findall(call[2])]
            yield Event(call[1], call[2], texts, int(call[3]))


def put_down(state: State, old: Path, new: Path) -> None:
    """Write a state, whose paths are below the folder `old`, into the folder `new`."""
    for path, content in state.items():
        place = new / Path(path).relative_to(old)
        if content is None:
            place.mkdir(mode=0o700)
        else:
            place.write_bytes(content)


def _path(event: Event) -> str:
    return event.texts[0].decode()


def _apply(names: dict[str, _File], changes: dict[str, _File | None]) -> None:
    for path, file in changes.items():
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file


def _put(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is not None:
        content[offset : offset + len(data)] = data
