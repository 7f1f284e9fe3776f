"""Interrupt a write of a SQLite database at each place, and write again.

    python -m tests.storage.interrupted FOLDER

A time limit that a signal enforces may end a block at any place where Python looks for signals. This runs in
a process of its own: what watches a test for connections left open would keep those that Python closes.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import FrameType

from ca_embed.storage import SQLiteStorage
from ca_embed.testing._storage_processes import record

WATCHED = ("_sqlite", "_forks", "threading")  # files
AT_ONCE = 2.0  # seconds; less than a write waits for its turn


class TimeLimit(BaseException):
    """What a signal handler raises."""


def save_until(storage: SQLiteStorage, name: str, place: int) -> bool:
    """Save a record, and interrupt that at the given place. False if it ended before."""
    left = place

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal left
        # Python looks for signals after a call of C, not before it.
        if event != "c_call" and any(name in frame.f_code.co_filename for name in WATCHED):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise TimeLimit

    sys.setprofile(watch)
    try:
        storage.save(record(name))
    except TimeLimit:
        return True
    finally:
        sys.setprofile(None)
    return False


def saved_by_another_thread(storage: SQLiteStorage, name: str) -> bool:
    """Save a record in another thread. False if it waits: it may wait for ever."""
    saved = list[bool]()
    thread = threading.Thread(target=lambda: saved.append(storage.save(record(name))), daemon=True)
    thread.start()
    thread.join(AT_ONCE)
    return saved == [True]


def interrupt_each_place(path: Path, *, opened: bool) -> int:
    """Return how many places there are. opened: whether the storage has a connection already."""
    storage, place = SQLiteStorage(path), 0
    while True:
        if not opened:
            storage.close()
        interrupted = save_until(storage, f"interrupted at {place}", place)
        began = time.monotonic()
        assert saved_by_another_thread(storage, f"other {place}"), place
        assert storage.save(record(f"after {place}")) is True, place
        assert time.monotonic() - began < AT_ONCE, place
        if not interrupted:
            storage.close()
            return place
        place += 1


if __name__ == "__main__":
    for is_opened in (True, False):
        print(interrupt_each_place(Path(sys.argv[1]) / f"{is_opened}.db", opened=is_opened))  # noqa: T201 (it is a program)
