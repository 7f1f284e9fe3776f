"""Tasks that take turns on a virtual clock: one runs at a time, and a chooser says which goes on.

A task is a greenlet with ordinary, blocking code. It gives way only where it waits: at a call of the storage
or of the Partner API, at a lock, or for time to pass. So a run depends on nothing but the choices, and the
same choices make the same run.

`installed` lets the code of ca_embed wait here: it replaces what its modules know as `time`, `threading`,
`uuid`, `random` and the like. Nothing of ca_embed itself is replaced.
"""

from __future__ import annotations

import hashlib
import os
import queue
import random
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, tzinfo
from types import ModuleType
from typing import Any, Self

from greenlet import GreenletExit, getcurrent, greenlet

Choose = Callable[[Sequence["Task"]], "Task"]


class Crashed(KeyboardInterrupt):
    """The host of this task is gone: nothing of it runs any more. What catches it does so in vain."""


class Deadlock(Exception):
    """Every task waits for another."""


class Task:
    """Some work of one host, or of none.

    label: what it does next, for a trace. wake_at: it sleeps until then. ready: it waits until this is true.
    """

    def __init__(
        self, name: str, owner: object, run: Callable[[], Any], begins_at: float, hub: greenlet
    ) -> None:
        self.name, self.owner = name, owner
        self.label = "begin"
        self.wake_at = begins_at
        self.ready: Callable[[], bool] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.drawn = 0
        self.greenlet: greenlet = greenlet(self._run, parent=hub)
        self._work = run

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.greenlet.dead

    def _run(self) -> None:
        try:
            self.result = self._work()
        except Crashed as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 (what started the task judges it)
            self.error = error

    def __repr__(self) -> str:
        return f"<Task {self.name}: {self.label}>"


class Scheduler:
    """Runs tasks in turns. `now` is the true time, in Unix seconds.

    seed: what every random number of ca_embed and of the simulation's own parts is drawn from.
    sleeps: False lets no time pass, for a search of all orders: then a task that sleeps only gives way.
    """

    def __init__(self, choose: Choose, *, seed: int = 0, now: float = 1_800_000_000.0, sleeps: bool = True):
        self.choose = choose
        self.now = now
        self.seed = seed
        self.sleeps = sleeps
        self.random: random.Random = random.Random(seed)
        self.tasks: list[Task] = []
        self._hub = getcurrent()
        self._names: dict[str, int] = {}
        self._drawn = 0
        self._running: Task | None = None

    # --- tasks -----------------------------------------------------------------------------------

    def spawn(self, name: str, run: Callable[[], Any], *, owner: object = None, after: float = 0.0) -> Task:
        """Add a task, which begins after so many seconds."""
        number = self._names[name] = self._names.get(name, 0) + 1
        task = Task(name if number == 1 else f"{name}#{number}", owner, run, self.now + after, self._hub)
        self.tasks.append(task)
        return task

    @property
    def current(self) -> Task | None:
        """The task that runs; None in the code that drives the simulation."""
        return self._running

    def step(self, until: float | None = None) -> bool:
        """Let one task go on, and let time pass if all sleep. False if there is none, or none until then."""
        runnable = self.runnable()
        if not runnable:
            waking = [task.wake_at for task in self.tasks if task.wake_at > self.now]
            if not waking:
                if any(task.ready for task in self.tasks):
                    raise Deadlock(f"every task waits: {self.tasks}")
                return False
            if until is not None and min(waking) > until:
                return False
            self.now = min(waking)
            return self.step(until)
        self.resume(self.choose(runnable))
        return True

    def resume(self, task: Task) -> None:
        """Let this task go on until it waits again."""
        task.ready = None
        self._running = task
        try:
            task.greenlet.switch()
        finally:
            self._running = None
        if task.done:
            self.tasks.remove(task)

    def kill(self, task: Task) -> None:
        """End a task where it stands. Not for use in a task: the greenlet that ends goes on with the hub."""
        if not task.done and not task.greenlet:  # it has not begun
            task.greenlet.throw(GreenletExit)
        while not task.done:
            task.ready = None
            self._running = task
            task.greenlet.throw(Crashed())
        self._running = None
        if task in self.tasks:
            self.tasks.remove(task)

    def runnable(self) -> list[Task]:
        """Return the tasks that can go on now."""
        return [
            task
            for task in self.tasks
            if (task.ready() or 0 < task.wake_at <= self.now if task.ready else task.wake_at <= self.now)
        ]

    # --- waiting, called in a task ---------------------------------------------------------------

    def pause(self, label: str, seconds: float = 0.0) -> None:
        """Give way, for so long. Outside of a task, let the time pass."""
        task = self.current
        if task is None:
            self.now += seconds if self.sleeps else 0.0
            return
        task.label = label
        task.wake_at = self.now + (seconds if self.sleeps else 0.0)
        self._hub.switch()

    def wait(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something is true, or for so many seconds. Tell whether it is."""
        if ready():
            return True
        task = self.current
        if task is None:
            raise Deadlock("the code outside of the tasks waits for one of them")
        task.label = "wait"
        task.wake_at = self.now + timeout if timeout is not None else 0.0
        task.ready = ready
        self._hub.switch()
        return ready()

    def entropy(self, count: int) -> bytes:
        """Return bytes that depend on the task and on what it has drawn before, and on nothing else."""
        task = self.current
        if task is None:
            self._drawn += 1
            name, drawn = "", self._drawn
        else:
            task.drawn += 1
            name, drawn = task.name, task.drawn
        return hashlib.shake_128(f"{self.seed}/{name}/{drawn}".encode()).digest(count)


# --- what ca_embed sees instead of the standard library ------------------------------------------------

_active: list[Scheduler] = []


def active() -> Scheduler:
    """Return the scheduler that runs."""
    return _active[-1]


@contextmanager
def scheduling(scheduler: Scheduler) -> Iterator[Scheduler]:
    """Make this the scheduler that runs."""
    _active.append(scheduler)
    try:
        yield scheduler
    finally:
        for task in list(scheduler.tasks):
            scheduler.kill(task)
        _active.remove(scheduler)


class _Time(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def time() -> float:
        return active().now

    @staticmethod
    def monotonic() -> float:
        return active().now

    perf_counter = monotonic

    @staticmethod
    def sleep(seconds: float) -> None:
        scheduler = active()
        if scheduler.sleeps:
            scheduler.pause("sleep", seconds)


class _Lock:
    """`threading.Lock` among tasks."""

    def __init__(self) -> None:
        self._held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._held and not (
            blocking and active().wait(lambda: not self._held, None if timeout < 0 else timeout)
        ):
            return False
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *raised: object) -> None:
        self.release()


class _Semaphore:
    """`threading.Semaphore` among tasks."""

    def __init__(self, value: int = 1) -> None:
        self._free = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if self._free < 1 and not (blocking and active().wait(lambda: self._free > 0, timeout)):
            return False
        self._free -= 1
        return True

    def release(self, n: int = 1) -> None:
        self._free += n

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *raised: object) -> None:
        self.release()


class _Event:
    """`threading.Event` among tasks."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        return active().wait(self.is_set, timeout)


class _Condition:
    """`threading.Condition` among tasks."""

    def __init__(self, lock: Any = None) -> None:
        self._lock = lock if lock is not None else _Lock()
        self._waiting: list[_Event] = []
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def wait(self, timeout: float | None = None) -> bool:
        notified = _Event()
        self._waiting.append(notified)
        self._lock.release()
        try:
            return notified.wait(timeout)
        finally:
            if notified in self._waiting:
                self._waiting.remove(notified)
            self._lock.acquire()

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        ends = None if timeout is None else active().now + timeout
        while not (met := predicate()):
            left = None if ends is None else ends - active().now
            if left is not None and left <= 0:
                break
            self.wait(left)
        return met

    def notify(self, n: int = 1) -> None:
        for event in self._waiting[:n]:
            self._waiting.remove(event)
            event.set()

    def notify_all(self) -> None:
        self.notify(len(self._waiting))

    def __enter__(self) -> bool:
        return bool(self._lock.acquire())

    def __exit__(self, *raised: object) -> None:
        self._lock.release()


class _Thread:
    """`threading.Thread`: a task of the same host as the task that starts it."""

    def __init__(
        self, group: None = None, target: Any = None, name: str = "thread", args: Any = (), **kwargs: Any
    ) -> None:
        self._call = lambda: target(*args, **kwargs.get("kwargs") or {})
        self.name, self.daemon = name, kwargs.get("daemon", False)

    def start(self) -> None:
        current = active().current
        name = f"{current.name}/{self.name}" if current else self.name
        self._task = active().spawn(name, self._call, owner=current and current.owner)

    def is_alive(self) -> bool:
        return not self._task.done

    def join(self, timeout: float | None = None) -> None:
        active().wait(lambda: self._task.done, timeout)


class _Threading(ModuleType):
    Lock, Semaphore, Event, Condition, Thread = _Lock, _Semaphore, _Event, _Condition, _Thread
    BoundedSemaphore = _Semaphore

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


class _Queue:
    """`queue.SimpleQueue` and `queue.Queue` among tasks."""

    def __init__(self, maxsize: int = 0) -> None:
        self._items: deque[Any] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._items.append(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self._items and not (block and active().wait(lambda: bool(self._items), timeout)):
            raise queue.Empty
        return self._items.popleft()

    def empty(self) -> bool:
        return not self._items

    put_nowait = put

    def get_nowait(self) -> Any:
        return self.get(block=False)


class _Future:
    def __init__(self, task: Task) -> None:
        self._task = task

    def result(self, timeout: float | None = None) -> Any:
        if not active().wait(lambda: self._task.done, timeout):
            raise TimeoutError
        if self._task.error is not None:
            raise self._task.error
        return self._task.result


class _Executor:
    """`ThreadPoolExecutor`: each call is a task."""

    def __init__(self, max_workers: int = 8, thread_name_prefix: str = "pool", **_: Any) -> None:
        self._name = thread_name_prefix
        self._futures: list[_Future] = []

    def submit(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> _Future:
        current = active().current
        name = f"{current.name}/{self._name}" if current else self._name
        task = active().spawn(name, lambda: call(*args, **kwargs), owner=current and current.owner)
        self._futures.append(_Future(task))
        return self._futures[-1]

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        for future in self._futures if wait else ():
            active().wait(lambda future=future: future._task.done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.shutdown()


class _Uuid(ModuleType):
    UUID = uuid.UUID

    @staticmethod
    def uuid4() -> uuid.UUID:
        return uuid.UUID(bytes=active().entropy(16), version=4)


class _Random(ModuleType):
    Random = random.Random

    def __getattr__(self, name: str) -> Any:
        return getattr(active().random, name)


class _Os(ModuleType):
    @staticmethod
    def urandom(count: int) -> bytes:
        return active().entropy(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class _Secrets(ModuleType):
    @staticmethod
    def token_bytes(count: int = 32) -> bytes:
        return active().entropy(count)

    @staticmethod
    def token_hex(count: int = 32) -> str:
        return active().entropy(count).hex()

    @staticmethod
    def token_urlsafe(count: int = 32) -> str:
        return active().entropy(count).hex()

    def __getattr__(self, name: str) -> Any:
        import secrets

        return getattr(secrets, name)


class _Datetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.fromtimestamp(active().now, tz)


_time, _threading, _uuid = _Time("time"), _Threading("threading"), _Uuid("uuid")
_random, _os, _secrets = _Random("random"), _Os("os"), _Secrets("secrets")
_NOT_REPLACED = ("ca_embed.sandbox", "ca_embed.testing", "ca_embed._cli", "ca_embed.adapters")


def _stand_ins() -> list[tuple[Any, Any]]:
    import secrets

    return [
        (time, _time), (time.time, _time.time), (time.monotonic, _time.monotonic), (time.sleep, _time.sleep),
        (threading, _threading), (threading.Lock, _Lock), (threading.Condition, _Condition),
        (threading.Event, _Event), (threading.Thread, _Thread), (threading.Semaphore, _Semaphore),
        (ThreadPoolExecutor, _Executor), (queue.SimpleQueue, _Queue), (queue.Queue, _Queue),
        (uuid, _uuid), (uuid.uuid4, _uuid.uuid4), (random, _random), (os, _os), (os.urandom, _os.urandom),
        (secrets, _secrets), (secrets.token_urlsafe, _secrets.token_urlsafe),
        (secrets.token_hex, _secrets.token_hex), (secrets.token_bytes, _secrets.token_bytes),
    ]  # fmt: skip


@contextmanager
def installed() -> Iterator[None]:
    """Replace what the modules of ca_embed know of time, threads and chance, for the block."""
    from ca_embed._partner import client

    stand_ins = _stand_ins()
    replaced: list[tuple[ModuleType, str, Any]] = []
    for module in [one for name, one in sys.modules.items() if _is_replaced(name)]:
        for name, value in list(vars(module).items()):
            for real, stand_in in stand_ins:
                if value is real:
                    replaced.append((module, name, value))
                    setattr(module, name, stand_in)
    replaced.append((client, "datetime", client.datetime))
    client.datetime = _Datetime
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


def _is_replaced(name: str) -> bool:
    return name.startswith("ca_embed.") and not name.startswith(_NOT_REPLACED)
