"""A sorted set that stays quick with a million keys: short sorted runs, one after another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from typing import Generic, TypeVar

from ca_embed.storage._base import DueCursor

K = TypeVar("K", str, DueCursor)

LONGEST_RUN = 1024

_last = itemgetter(-1)


class SortedKeys(Generic[K]):
    """Keys in ascending order, each once. A caller adds no key twice and removes none that is absent."""

    def __init__(self) -> None:
        self._runs: list[list[K]] = []

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, key: K) -> None:
        """Put the key in its place."""
        if not self._runs:
            self._runs.append([key])
            return
        place = min(bisect_left(self._runs, key, key=_last), len(self._runs) - 1)
        run = self._runs[place]
        insort(run, key)
        if len(run) > LONGEST_RUN:
            self._runs[place : place + 1] = [run[: LONGEST_RUN // 2], run[LONGEST_RUN // 2 :]]

    def remove(self, key: K) -> None:
        """Take the key out."""
        place = bisect_left(self._runs, key, key=_last)
        run = self._runs[place]
        del run[bisect_left(run, key)]
        if not run:
            del self._runs[place]

    def after(self, key: K) -> Iterator[K]:
        """Yield the keys that are greater than this one, ascending."""
        place = bisect_right(self._runs, key, key=_last)
        for run in islice(self._runs, place, None):
            yield from islice(run, bisect_right(run, key), None)
