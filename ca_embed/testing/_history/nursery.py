"""Starts processes fast: one process imports everything, and forks for each that is needed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

_START = 60.0  # seconds for the first process, which imports everything


class Nursery:
    """A process that starts others. `main` must be picklable; each process calls it with its name."""

    def __init__(self, main: Callable[[str], None]) -> None:
        """Start the nursery. It ends when it is closed, or when this process ends."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, main), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, name: str) -> int:
        """Start a process, and return its id."""
        self._pipe.send(name)
        if not self._pipe.poll(_START):
            raise TimeoutError(f"no process started within {_START:g} s")
        pid: int = self._pipe.recv()
        return pid

    def close(self) -> None:
        """End the nursery. Processes that it has started notice that their parent is gone."""
        self._pipe.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()
        self._process.close()


def is_alive(pid: int) -> bool:
    """Tell whether a process of a nursery still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end(pid: int, patience: float = 0.0) -> None:
    """Wait so many seconds for a process to end, then kill it."""
    give_up = time.monotonic() + patience
    while is_alive(pid):
        if time.monotonic() > give_up:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return
        time.sleep(0.005)


def _serve(pipe: Connection, main: Callable[[str], None]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets those that have ended
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            pipe.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                main(name)
            finally:
                os._exit(0)
        pipe.send(child)
