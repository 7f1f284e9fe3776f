"""Jobs that run after their request was answered, and end when the sandbox stops."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Runs each job in its own thread. `stop` drops jobs that have not begun, and waits for the others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Accept jobs, also again after `stop`."""
        self._stopped.clear()

    def run(self, job: Callable[[], object], *, after: float = 0.0) -> None:
        """Run a job in a new thread, `after` seconds from now."""
        thread = threading.Thread(target=self._run, args=(job, after), daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def pause(self, seconds: float) -> None:
        """Wait so many seconds. `stop` ends the wait."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """Drop the jobs that have not begun, and wait until the running ones are done."""
        self._stopped.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _run(self, job: Callable[[], object], after: float) -> None:
        try:
            if not self._stopped.wait(after):
                job()
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
