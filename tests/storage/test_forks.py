"""No fork happens during a storage operation, and importing the package imports no driver."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

import ca_embed.storage
from ca_embed.storage._forks import ForkGate

PATIENCE = 30.0


def test_a_fork_waits_for_operations_and_they_for_the_fork():
    """No operation runs while the gate is shut. `before_fork` is called between the two."""
    released = threading.Event()
    gate = ForkGate(before_fork=released.set)
    entered, leave, passed = threading.Event(), threading.Event(), threading.Event()

    def operate():
        with gate.passing():
            entered.set()
            leave.wait(PATIENCE)

    def operate_later():
        with gate.passing():
            passed.set()

    first = threading.Thread(target=operate)
    first.start()
    assert entered.wait(PATIENCE)
    forking = threading.Thread(target=gate.shut)
    forking.start()
    assert not released.is_set()
    leave.set()
    forking.join(PATIENCE)
    assert released.is_set()
    second = threading.Thread(target=operate_later)
    second.start()
    assert not passed.is_set()
    gate.reopen_in_parent()
    assert passed.wait(PATIENCE)
    first.join()
    second.join()


def test_the_child_begins_with_an_open_gate():
    """The child can run operations, also if the gate of the parent was shut."""
    gate = ForkGate()
    gate.shut()
    gate.reopen_in_child()
    with gate.passing():
        pass


def test_importing_the_package_opens_no_driver():
    """`import ca_embed.storage` imports no storage class. The first use of a name does."""
    program = (
        "import sys, ca_embed.storage as s; early = {'sqlite3', 'asyncio'} & set(sys.modules); "
        "s.SQLiteStorage; print(sorted(early), 'sqlite3' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[] True\n"


def test_all_public_names_exist():
    """Each name in `__all__` can be used, and no other."""
    for name in ca_embed.storage.__all__:
        assert getattr(ca_embed.storage, name) is not None
        assert name in dir(ca_embed.storage)
    with pytest.raises(AttributeError, match="no attribute 'FileStorage'"):
        _ = ca_embed.storage.FileStorage
