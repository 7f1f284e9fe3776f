"""Fails the test that leaves something open, not a later one in which Python happens to collect it.

Watched are sockets, SQLite connections and event loops. What a fixture of a wider scope opens outlives
the test, and is not watched.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import takewhile
from types import FrameType
from typing import Any

import pytest

BROWSERS = {"browser", "chromium"}  # fixtures
PATIENCE = 10.0  # seconds; a thread may still be closing what it has used
A_MOMENT = 0.02  # seconds; most threads need no longer, and no collection of garbage

Place = tuple[str, int]  # a file and a line


@dataclass(frozen=True)
class Opened:
    """Something that was opened, and the places in the code that led there, the innermost first.

    test: the id of the test that did it. A thread works for the test that has started it.
    """

    get: Callable[[], Any]  # returns it, or None if it was collected
    test: str
    stack: list[Place]

    @property
    def is_open(self) -> bool:
        match self.get():
            case None:
                return False
            case sqlite3.Connection() as connection:
                return _is_open_database(connection)
            case asyncio.AbstractEventLoop() as loop:
                return not loop.is_closed()
            case sock:
                return bool(sock.fileno() != -1)

    def __str__(self) -> str:
        of_the_test = takewhile(lambda place: "/_pytest/" not in place[0], self.stack)
        places = (f"{file}:{line}" for file, line in of_the_test)
        return "\n    ".join([f"{self.get()!r}, opened by {self.test} at", *places])


class Watch:
    """Notes what is opened."""

    def __init__(self) -> None:
        self.wider_fixtures = 0  # being set up; what they open is not noted
        self.test = ""
        self._opened: list[Opened] = []

    def start(self) -> None:
        """Begin. There is no end: Python lets no audit hook go."""
        sys.addaudithook(self._note)
        _call_after(asyncio.BaseEventLoop, "__init__", lambda loop: self._add(weakref.ref(loop)))
        _call_after(threading.Thread, "__init__", self._note_thread)

    def take(self) -> list[Opened]:
        """Return what was opened since the last call."""
        opened, self._opened = self._opened, []
        return opened

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.__new__":
            self._add(weakref.ref(args[0]))
        elif event == "sqlite3.connect/handle":
            connection = args[0]  # takes no weak reference
            self._add(lambda: connection)

    def _note_thread(self, thread: threading.Thread) -> None:
        if not self.wider_fixtures:
            thread.test = self._test_of_this_thread()  # type: ignore[attr-defined]

    def _add(self, get: Callable[[], Any]) -> None:
        if not self.wider_fixtures:
            self._opened.append(Opened(get, self._test_of_this_thread(), list(_places(sys._getframe(2)))))

    def _test_of_this_thread(self) -> str:
        return getattr(threading.current_thread(), "test", self.test)


_watch = Watch()
_with_browsers: set[str] = set()  # ids of tests


def pytest_collection_finish() -> None:
    """Watch from now on: what the modules of tests open when they are imported stays.

    What they import stays too. Later collections of garbage pass over it, and so are much faster.
    """
    gc.collect()
    gc.freeze()
    _watch.start()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """Do not watch what a fixture of a wider scope opens."""
    is_wider = fixturedef.scope != "function"
    _watch.wider_fixtures += is_wider
    try:
        return (yield)
    finally:
        _watch.wider_fixtures -= is_wider


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Collect what the tests of a file have left, so that what then complains fails one of them."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test if something is open when its other fixtures are done; tell who opened it, and where.

    What a thread opens after the end of its test is found by the next test, and told with the test's name.
    """
    _watch.test = request.node.nodeid
    if BROWSERS & set(request.fixturenames):
        _with_browsers.add(_watch.test)
    yield
    opened = [one for one in _watch.take() if not _is_kept_by_a_browser(one)]
    if left := _left_open(opened):
        pytest.fail("\n".join(["This was left open:", *map(str, left)]), pytrace=False)


def _is_kept_by_a_browser(opened: Opened) -> bool:
    """Tell whether it may be a browser's connection to a server of ours: it keeps them as long as it runs."""
    return opened.test in _with_browsers and isinstance(opened.get(), socket.socket)


def _left_open(opened: list[Opened]) -> list[Opened]:
    left = _open_after(A_MOMENT, opened)
    if left:
        gc.collect()  # urllib3 closes a pool when it is collected
    return _open_after(PATIENCE, left)


def _open_after(seconds: float, opened: list[Opened]) -> list[Opened]:
    give_up = time.monotonic() + seconds
    while (opened := [one for one in opened if one.is_open]) and time.monotonic() < give_up:
        time.sleep(0.001)
    return opened


def _places(frame: FrameType | None) -> Iterator[Place]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def _is_open_database(connection: sqlite3.Connection) -> bool:
    try:
        return connection.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


def _call_after(kind: type, name: str, call: Callable[[Any], None]) -> None:
    """Let a method call this as well, with the object, when it is done."""
    method = getattr(kind, name)

    def both(self: Any, *args: Any, **kwargs: Any) -> None:
        method(self, *args, **kwargs)
        call(self)

    setattr(kind, name, both)
