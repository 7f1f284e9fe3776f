"""Whether the storage works, however often that is asked."""

from __future__ import annotations

import time
from collections.abc import Callable

from ca_embed._host.fork_lock import ForkLock
from ca_embed.errors import StorageUnavailable

_KEPT = 1.0  # seconds for which a result counts
_LONGEST_WAIT = 5.0  # seconds to wait for a probe that another thread makes


class Health:
    """Probes a storage, one probe at a time. Its result counts for a second in this process."""

    def __init__(self, probe: Callable[[], None]) -> None:
        """Take the function that reads and writes, and raises StorageUnavailable if either fails."""
        self._probe = probe
        self._lock = ForkLock()
        self._counts_until = -1.0
        self._failure: str | None = None

    def check(self) -> None:
        """Raise StorageUnavailable if the storage does not work. Wait for a probe that is under way."""
        if not self._lock.acquire(timeout=_LONGEST_WAIT):
            raise StorageUnavailable("a probe of the storage has not ended yet; check it")
        try:
            if time.monotonic() >= self._counts_until:
                self._probe_now()
            failure = self._failure
        finally:
            self._lock.release()
        if failure is not None:
            raise StorageUnavailable(failure)

    def _probe_now(self) -> None:
        try:
            self._probe()
            self._failure = None
        except StorageUnavailable as error:
            self._failure = str(error)
        self._counts_until = time.monotonic() + _KEPT
