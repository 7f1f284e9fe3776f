"""Running the host's handlers before a response leaves, without letting one that hangs hold it back."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ca_embed._core import Core
from ca_embed._host.threads import Pool
from ca_embed._log import fields
from ca_embed._use_cases.handler_runner import HandlerRunner, Handover
from ca_embed._use_cases.registrar import Accepted
from ca_embed.errors import EmbedError
from ca_embed.http._steps import RunHandlers, Steps

if TYPE_CHECKING:  # slow to import, and a WSGI server needs none of it
    import asyncio

logger = logging.getLogger("ca_embed")

_STARTS_WITHIN = 2.0  # seconds; all threads for handlers are taken if a run has not begun by then
_WAIT = 8.0  # seconds in all, so that the response leaves within 10

_under_way: set[asyncio.Task[None]] = set()  # asyncio itself keeps no task alive


def run_handlers(accepted: Accepted | None) -> Steps[None]:
    """Run the handlers that were claimed, if any. What they raise never changes the response."""
    if accepted is not None and accepted.handover is not None:
        yield RunHandlers(accepted.handover)


async def run_in_time(core: Core, handover: Handover) -> None:
    """Run the handlers in a thread of their pool, and return when they have ended, or after 8 seconds.

    Handlers that still run then run on under their claim, also if the request is cancelled. Handlers that
    get no thread within 2 seconds do not run now: the claim is given back, so `reconcile()` runs them.
    """
    import asyncio

    run = _Run(core.handler_runner, handover)
    # Not wait_for, nor awaited here: either would cancel an asynchronous handler in the middle of its work.
    task = asyncio.create_task(core.threads.run(Pool.HANDLERS, run.start))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    ended, _ = await asyncio.wait({task}, timeout=_STARTS_WITHIN)
    if not ended and run.abandon():
        await core.threads.run(Pool.STORAGE, lambda: _give_back(core.handler_runner, handover))
        return
    if not ended:
        ended, _ = await asyncio.wait({task}, timeout=_WAIT - _STARTS_WITHIN)
    if ended:
        task.result()
    else:
        registration_id = handover.state.registration.registration_id
        extra = fields("still_running", registration_id)
        logger.warning("handler reason=still_running registration_id=%s", registration_id, extra=extra)


class _Run:
    """A run of handlers that waits for a thread. It either starts or is abandoned, never both."""

    def __init__(self, runner: HandlerRunner, handover: Handover) -> None:
        self._runner = runner
        self._handover: Handover | None = handover
        self._begun = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Run the handlers, unless the run was abandoned."""
        with self._lock:
            handover = self._handover
            self._begun = handover is not None
        if handover is not None:
            self._runner.run_safely(handover)

    def abandon(self) -> bool:
        """Keep the run from starting. False if it has started."""
        with self._lock:
            if not self._begun:
                self._handover = None  # it holds credentials, and may wait in the queue for long
            return not self._begun


def _give_back(runner: HandlerRunner, handover: Handover) -> None:
    registration_id = handover.state.registration.registration_id
    text = "handler reason=no_thread registration_id=%s; reconcile() runs its handlers"
    logger.warning(text, registration_id, extra=fields("no_thread", registration_id))
    try:
        runner.give_back(handover)
    except EmbedError as error:  # its claim ends by itself
        extra = fields("not_noted", registration_id)
        logger.error("handler reason=not_noted %s; reconcile() runs it again", error, extra=extra)
