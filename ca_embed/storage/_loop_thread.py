"""An event loop in a thread of its own, for calls from threads or from greenlets."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

_SHUTDOWN_WAIT = 5.0  # seconds that a loop waits for its tasks before it stops

_T = TypeVar("_T")


def start_loop_thread() -> LoopThread:
    """Return a new event loop in a thread of the system, also where gevent has replaced the threads."""
    monkey = sys.modules.get("gevent.monkey")
    patched = monkey is not None and monkey.is_module_patched("threading")
    return _BesideGevent() if patched else LoopThread()


class LoopThread:
    """An event loop that runs in a thread, until it is stopped."""

    def __init__(self) -> None:
        """Start the thread."""
        self.pid = os.getpid()
        self.calls = 0  # running on this loop; the bridge counts them
        self._loop = self._start()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the loop, and return its result."""
        return self._wait(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def stop(self) -> None:
        """Let the tasks of the loop end, and then the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._join()

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        self._thread = Thread(target=_serve, args=(loop,), name="ca_embed-storage", daemon=True)
        self._thread.start()
        return loop

    def _wait(self, future: Future[_T]) -> _T:
        return future.result()

    def _join(self) -> None:
        self._thread.join()


class _BesideGevent(LoopThread):
    """The same for greenlets. They share one thread of the system, and asyncio allows one loop in each.

    In that thread the loop would keep the host from running one of its own.
    """

    def _start(self) -> asyncio.AbstractEventLoop:
        from gevent import get_hub
        from gevent.monkey import get_original
        from gevent.threadpool import ThreadPool

        # The loop's sockets belong to the thread that makes it. A patched queue cannot be shared by threads.
        started = get_original("queue", "SimpleQueue")()

        def serve() -> None:
            loop = asyncio.new_event_loop()
            loop.call_soon(started.put, loop)
            _serve(loop)

        self._served = ThreadPool(1).spawn(serve)
        loop: asyncio.AbstractEventLoop = get_hub().threadpool.apply(started.get)
        return loop

    def _wait(self, future: Future[_T]) -> _T:
        from gevent import get_hub
        from gevent.event import Event

        done, wake_up = Event(), get_hub().loop.async_()
        wake_up.start(done.set)
        future.add_done_callback(lambda _: wake_up.send())
        try:
            done.wait()
        except BaseException:  # a Timeout of the host: not closed, because the loop will still wake it up
            wake_up.stop()
            raise
        wake_up.close()
        return future.result()

    def _join(self) -> None:
        self._served.get()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(_finish_tasks())  # also those sent by other threads
    loop.close()


async def _finish_tasks() -> None:
    """Wait for cancelled and closing tasks before the loop stops, for _SHUTDOWN_WAIT seconds at most."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=_SHUTDOWN_WAIT)
