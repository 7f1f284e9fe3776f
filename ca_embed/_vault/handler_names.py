"""Which handlers some process knows: a run of one of them waits, a run of any other is parked in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from ca_embed.storage._base import SealedRecord

_ID = "~handlers"  # no registration id has a "~"
_REMEMBERED = 24 * 3600.0  # seconds after which a name that no process has noted again is gone
_NOTE_EVERY = 3600.0  # seconds


class HandlerNames:
    """The names of handlers and when a process last noted each. They are not secret, and not sealed."""

    def __init__(
        self,
        load: Callable[[str], SealedRecord | None],
        save: Callable[[SealedRecord], bool],
        clock: Callable[[], float],
    ) -> None:
        """Take the functions of a storage that load and save a record. `clock` returns Unix seconds."""
        self._load, self._save = load, save
        self._clock = clock
        self._noted: tuple[frozenset[str], float] = (frozenset(), 0.0)  # by this process, and when

    def note_once_an_hour(self, names: Iterable[str]) -> None:
        """Note the names of this process, unless it has just done so. Raises StorageUnavailable."""
        noted, at = self._noted
        if not (frozenset(names) <= noted and abs(self._clock() - at) < _NOTE_EVERY):
            self.note(names)

    def note(self, names: Iterable[str]) -> frozenset[str]:
        """Note the names of this process. Return all that some process knows. Raises StorageUnavailable."""
        wanted = frozenset(names)
        self._noted = wanted, self._clock()
        while True:
            record, now = self._load(_ID), self._clock()
            noted = {name: at for name, at in _read(record).items() if abs(now - at) < _REMEMBERED}
            if all(abs(now - noted.get(name, 0.0)) < _NOTE_EVERY for name in wanted):
                return frozenset(noted) | wanted
            noted |= dict.fromkeys(wanted, now)
            document = json.dumps(noted).encode()
            version = 1 if record is None else record.version + 1
            if self._save(SealedRecord(_ID, version, None, None, document)):
                return frozenset(noted)


def _read(record: SealedRecord | None) -> dict[str, float]:
    """Return what the record says. Anything else than our own form counts as empty."""
    try:
        found = json.loads(b"{}" if record is None else record.document)
        return {str(name): float(at) for name, at in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
