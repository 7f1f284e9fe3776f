"""Processes that share one storage, for the test suites of storages."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias, TypeVar

from ca_embed.storage import AsyncStorage, SealedRecord, Storage
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._checks import check_storage

_TIMEOUT = 60.0  # seconds for a process to start or to finish; long, for busy machines

OpenStorage: TypeAlias = Callable[[], Storage | AsyncStorage]

_T = TypeVar("_T")

_HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def together(open_storage: OpenStorage, work: Callable[[Storage, int], _T], processes: int) -> list[_T]:
    """Run `work(storage, number)` in new processes at the same moment, and return the results by number."""
    started = [_start(_do_once, open_storage, work, number) for number in range(processes)]
    with _ended(started):
        for _, pipe in started:
            _receive(pipe)
        for _, pipe in started:
            pipe.send("go")
        return [_receive(pipe) for _, pipe in started]


def killed_while_saving(open_storage: OpenStorage, saves: int) -> list[str]:
    """Kill a process soon after it reported that many saves. Return the ids that it reported as saved."""
    process, pipe = _start(_keep_saving, open_storage, f"{os.getpid()}-{saves}")
    with _ended([(process, pipe)]):
        reported = [str(_receive(pipe)) for _ in range(saves)]
        process.kill()
        process.join(_TIMEOUT)
        try:
            while True:
                reported.append(str(_receive(pipe)))
        except EOFError:
            return reported


def win_versions(storage: Storage, number: int) -> list[tuple[int, int]]:
    """Try to save 20 versions of one record. Return the saved versions, each with this process's number."""
    document = str(number).encode()
    return [(version, number) for version in range(1, 21) if storage.save(record("race", version, document))]


def save_one(storage: Storage, number: int) -> bool:
    """Save one record whose id has this process's number."""
    return storage.save(record(f"process-{number}"))


def use_and_fork(storage: Storage, number: int) -> list[bool]:
    """Fork five times while threads save. Return for each check in parent and child whether it succeeded."""
    succeeded = [storage.save(record("before the fork"))]
    done = threading.Event()
    threads = [threading.Thread(target=_save_until, args=(storage, done, name)) for name in "abc"]
    for thread in threads:
        thread.start()
    succeeded.extend(_child_saves(storage, f"child-{number}-{fork}") for fork in range(5))
    done.set()
    for thread in threads:
        thread.join()
    succeeded.append(storage.save(record("after the fork")))
    return succeeded


def record(
    registration_id: str,
    version: int = 1,
    document: bytes = b"sealed",
    *,
    user_id: str | None = None,
    due_at: float | None = None,
) -> SealedRecord:
    """Return a record. The arguments that a test does not care about have defaults."""
    return SealedRecord(registration_id, version, user_id, due_at, document)


def _child_saves(storage: Storage, registration_id: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this test is about forking beside threads
        child = os.fork()
    if child == 0:
        saved = False
        try:
            saved = storage.save(record(registration_id)) and storage.load(registration_id) is not None
        finally:
            os._exit(0 if saved else 1)
    return os.waitpid(child, 0)[1] == 0


def _save_until(storage: Storage, done: threading.Event, name: str) -> None:
    for number in count():
        storage.save(record(f"{name}-{number}"))
        if done.is_set():
            return


def _do_once(
    pipe: Connection, open_storage: OpenStorage, work: Callable[[Storage, int], object], number: int
) -> None:
    pipe.send("ready")
    pipe.recv()
    storage = as_sync(check_storage(open_storage()))
    result = work(storage, number)
    storage.close()
    pipe.send(result)


def _keep_saving(pipe: Connection, open_storage: OpenStorage, name: str) -> None:
    storage = as_sync(check_storage(open_storage()))
    for number in count():
        registration_id = f"{name}-{number}"
        document = os.urandom(2000)
        if storage.save(record(registration_id, 1, document, user_id="user", due_at=float(number))):
            pipe.send(registration_id)
        if number % 3 == 0 and storage.save(record(registration_id, 2, document, user_id="user")):
            pipe.send(registration_id)


def _start(main: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
    """Start a process that has nothing of this one but its environment variables and the arguments.

    A fork server starts it faster, above all if `multiprocessing.set_forkserver_preload` names modules.
    """
    get = multiprocessing.get_context
    context = get("forkserver") if _HAS_FORK_SERVER else get("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_in_environment, args=(dict(os.environ), main, theirs, *arguments), daemon=True
    )
    process.start()
    theirs.close()
    return process, ours


def _in_environment(environment: dict[str, str], main: Callable[..., None], *arguments: object) -> None:
    os.environ.clear()  # of the fork server, which may have started before a test set a variable
    os.environ.update(environment)
    main(*arguments)


@contextmanager
def _ended(started: Sequence[tuple[BaseProcess, Connection]]) -> Generator[None]:
    try:
        yield
    finally:
        for process, pipe in started:
            pipe.close()
            process.kill()
            process.join(_TIMEOUT)
            process.close()


def _receive(pipe: Connection) -> Any:
    if not pipe.poll(_TIMEOUT):
        raise TimeoutError(f"a process of the storage test suite sent nothing within {_TIMEOUT:g} s")
    return pipe.recv()
