"""A fork that Python is not told of, as a server written in C does it."""

from __future__ import annotations

import ctypes
import os

from ca_embed.storage import SQLiteStorage
from ca_embed.testing._storage_processes import record


def save_in_both(storage: SQLiteStorage, number: int) -> bool:
    """Save, fork, and save in the child by a connection of its own; run where there is one thread only."""
    storage.save(record("parent's"))
    (parents,) = storage._connections._idle
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        saved = storage.save(record("child's")) and parents not in storage._connections._idle
        os._exit(0 if saved else 1)
    return os.waitpid(child, 0)[1] == 0
