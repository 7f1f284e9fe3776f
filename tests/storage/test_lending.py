"""What is lent to event loops is disposed of by each loop, whichever closes first."""

from __future__ import annotations

import asyncio
import threading

from ca_embed.storage._lending import ResourcePerLoop


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


async def _use(resources):
    async with resources.lend() as resource:
        return resource


def test_a_loop_disposes_of_its_own_before_another_asks_it_to():
    """A loop that closes and ends while another is still closing leaves nothing behind."""
    first, second = LoopThread(), LoopThread()
    disposed = {}

    async def dispose(resource):
        disposed[resource] = asyncio.get_running_loop()
        if resource is of_first:  # the first has decided what to close, and not yet told the second
            await asyncio.to_thread(close_and_end_second)

    def close_and_end_second():
        second.run(resources.close())
        second.end()

    resources = ResourcePerLoop(object, dispose)
    of_first, of_second = first.run(_use(resources)), second.run(_use(resources))
    first.run(resources.close())
    assert disposed == {of_first: first.loop, of_second: second.loop}
    first.run(first.loop.shutdown_default_executor())
    first.end()


def test_the_other_loops_are_asked():
    """What belongs to a loop that goes on is disposed of there, once."""
    first, second = LoopThread(), LoopThread()
    disposed, told = [], threading.Event()

    async def dispose(resource):
        disposed.append((resource, asyncio.get_running_loop()))
        if resource is of_second:
            told.set()

    resources = ResourcePerLoop(object, dispose)
    of_first, of_second = first.run(_use(resources)), second.run(_use(resources))
    first.run(resources.close())
    assert told.wait(30)
    second.run(resources.close())
    assert disposed == [(of_first, first.loop), (of_second, second.loop)]
    first.end()
    second.end()
