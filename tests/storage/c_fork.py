"""Forks without Python's knowledge, as a server written in C does."""

from __future__ import annotations

import ctypes
import os

from ca_embed.storage import SQLiteStorage
from ca_embed.testing._storage_processes import record


def save_in_both(storage: SQLiteStorage, number: int) -> bool:
    """Save, fork, and save in the child. Return True if the child used a connection of its own.

    The process must have only one thread.
    """
    storage.save(record("parent's"))
    (parents,) = storage._connections._idle
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        saved = storage.save(record("child's")) and parents not in storage._connections._idle
        os._exit(0 if saved else 1)
    return os.waitpid(child, 0)[1] == 0
