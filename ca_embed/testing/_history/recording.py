"""A storage that writes each call and its outcome to a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from ca_embed.storage import AsyncStorage, DueCursor, SealedRecord, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage
from ca_embed.testing._history.calls import seen

_T = TypeVar("_T")


class RecordedStorage:
    """A storage that writes each call and its outcome to a file, so that `check_history` can check them.

    storage: the storage that does the work.
    file: `<folder>/<process>.jsonl`. Each process needs a file of its own; its threads may share it. The
        history of a process that is killed stays readable.

    The storage must be empty when the first process begins.
    """

    def __init__(self, storage: Storage | AsyncStorage, file: str | os.PathLike[str]) -> None:
        """Open the file, to append to it."""
        self._storage = as_sync(check_storage(storage))
        self._log = HistoryFile(Path(file))
        self._numbers = count(1)

    def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        return self._recorded(
            "load",
            [registration_id],
            lambda: self._storage.load(registration_id),
            lambda found: None if found is None else seen(found),
        )

    def save(self, record: SealedRecord) -> bool:
        """See `Storage.save`."""
        return self._recorded("save", [seen(record)], lambda: self._storage.save(record), bool)

    def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage.delete`."""
        arguments = [registration_id, version]
        return self._recorded(
            "delete", arguments, lambda: self._storage.delete(registration_id, version), bool
        )

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage.due`."""
        return self._recorded(
            "due", [by, limit, after], lambda: self._storage.due(by, limit=limit, after=after), _page
        )

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage.list`."""
        return self._recorded(
            "list",
            [user_id, limit, after],
            lambda: self._storage.list(user_id=user_id, limit=limit, after=after),
            _page,
        )

    def close(self) -> None:
        """Close the storage and the file. The next call opens both again."""
        self._storage.close()
        self._log.close()

    def _recorded(
        self, name: str, arguments: Sequence[Any], call: Callable[[], _T], note: Callable[[_T], Any]
    ) -> _T:
        number = next(self._numbers)
        self._log.write({"call": number, "at": time.monotonic(), "name": name, "with": arguments})
        try:
            result = call()
        except Exception as error:
            failed = {"error": type(error).__name__, "text": str(error)[:300]}
            self._log.write({"of": number, "at": time.monotonic(), **failed})
            raise
        self._log.write({"of": number, "at": time.monotonic(), "result": note(result)})
        return result


class HistoryFile:
    """A file of JSON lines. Each line is written by one system call, so threads may share the file."""

    def __init__(self, path: Path) -> None:
        """Keep the path. The file is opened by the first line."""
        self._path = path
        self._file: int | None = None

    def write(self, line: dict[str, Any]) -> None:
        """Append a line. A process that is killed afterwards leaves the line behind."""
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _page(records: Sequence[SealedRecord]) -> list[object]:
    return [seen(record) for record in records]
