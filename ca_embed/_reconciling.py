"""Passes beside an application, for as long as a block lasts: in a thread, or on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType

from ca_embed._host.calls import described
from ca_embed._log import fields
from ca_embed.errors import InvalidArgument, StorageUnavailable

logger = logging.getLogger("ca_embed")


class Reconciling:
    """A context manager, `with` or `async with`, that makes a pass at once and then every so many seconds.

    A pass that fails is logged, and the next one tries again. At the end of the block a pass that runs is
    waited for.
    """

    def __init__(
        self, make_pass: Callable[[], object], make_pass_async: Callable[[], Awaitable[object]], every: float
    ) -> None:
        """Prepare; the first pass starts with the block."""
        if not every > 0:
            raise InvalidArgument("every must be more than 0 seconds")
        self._make_pass, self._make_pass_async = make_pass, make_pass_async
        self._every = every

    # --- in a thread -----------------------------------------------------------------------------

    def __enter__(self) -> None:
        """Start the thread."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ca_embed-reconciling", daemon=True)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            try:
                self._make_pass()
            except Exception as error:  # noqa: BLE001 (the next pass must run whatever this one met)
                _log(error)
            if self._ended.wait(self._every):
                return

    # --- on an event loop ------------------------------------------------------------------------

    async def __aenter__(self) -> None:
        """Start the task."""
        self._ended_async = asyncio.Event()
        self._task = asyncio.create_task(self._loop_async())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended_async.set()
        await self._task

    async def _loop_async(self) -> None:
        while not self._ended_async.is_set():
            try:
                await self._make_pass_async()
            except Exception as error:  # noqa: BLE001 (the next pass must run whatever this one met)
                _log(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended_async.wait(), self._every)


def _log(error: Exception) -> None:
    # Our own errors name no secret; of any other, only type and place are safe to show.
    words = str(error) if isinstance(error, StorageUnavailable) else described(error)
    extra = fields("pass_failed")
    logger.error("reconcile reason=pass_failed %s; the next pass tries again", words, extra=extra)
