"""How often one user may open a session over HTTP, counted over all processes.

A small record for each user holds the times of the latest sessions. Compare-and-swap keeps the count exact.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable

from ca_embed.errors import StorageContention, TooManySessions
from ca_embed.storage._base import SealedRecord

_GIVE_UP_AFTER = 5.0  # seconds in which others changed the record at every attempt to save it


def record_id(user_id: str) -> str:
    """Return the id of the record that counts a user's sessions.

    It is derived from the user id, so erasing a user must remove this record too. No registration id has
    a "~".
    """
    return "~limit:" + hashlib.sha256(user_id.encode()).hexdigest()


class SessionLimit:
    """Counts the sessions of each user, and refuses one too many."""

    def __init__(
        self,
        load: Callable[[str], SealedRecord | None],
        save: Callable[[SealedRecord], bool],
        delete: Callable[[str, int], bool],
        *,
        limit: tuple[int, float] | None,
        clock: Callable[[], float],
    ) -> None:
        """Take the functions of a storage, and the limit.

        limit: how many sessions one user may open, and in how many seconds. None: any number.
        clock: returns Unix seconds.
        """
        self._load, self._save, self._delete = load, save, delete
        self._limit = limit
        self._clock = clock

    def count(self, user_id: str) -> None:
        """Count one more session of the user. Raises TooManySessions, StorageUnavailable."""
        if self._limit is None:
            return
        at_most, seconds = self._limit
        give_up = time.monotonic() + _GIVE_UP_AFTER
        while True:
            now = self._clock()
            record = self._load(record_id(user_id))
            stored = _times_in(record)
            # The clock of another process may be ahead. Its times count as now, so that they end in time.
            times = [min(one, now) for one in stored if one > now - seconds]
            refused = len(times) >= at_most
            following = times if refused else [*times, now]
            if (refused and max(stored) <= now) or self._save(_record(user_id, record, following)):
                break
            if time.monotonic() > give_up:
                raise StorageContention("others counted a session of this user at every attempt; try again")
            time.sleep(random.uniform(0, 0.01))  # noqa: S311 (so that workers do not collide again)
        if refused:
            raise TooManySessions(at_most, seconds, retry_after=_wait(times[-at_most] + seconds - now))

    def times(self, user_id: str) -> list[float]:
        """Return when the user opened the latest sessions, the earliest first, in Unix seconds."""
        return _times_in(self._load(record_id(user_id)))

    def forget(self, user_id: str) -> bool:
        """Remove the record of a user. False if there is none. Raises StorageUnavailable."""
        while (record := self._load(record_id(user_id))) is not None:
            if self._delete(record.registration_id, record.version):
                return True
        return False


def _record(user_id: str, known: SealedRecord | None, times: list[float]) -> SealedRecord:
    """Return the next version of a user's record. It holds no secret, so it is not sealed."""
    document = json.dumps({"v": 1, "times": times}, separators=(",", ":")).encode()
    return SealedRecord(record_id(user_id), known.version + 1 if known else 1, None, None, document)


def _times_in(record: SealedRecord | None) -> list[float]:
    """Return the times that a record holds, the earliest first. One that cannot be read holds none."""
    if record is None:
        return []
    try:
        return sorted(float(one) for one in json.loads(record.document)["times"])
    except (ValueError, KeyError, TypeError):
        return []


def _wait(seconds: float) -> int:
    return max(1, math.ceil(seconds))
