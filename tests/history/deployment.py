"""Delivers webhooks to a deployment while others purge, reconcile and kill, and records what happened."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

from ca_embed import Credentials, Embed, Registration
from ca_embed.errors import StorageUnavailable
from ca_embed.testing import DeliveryRecorder, DeliveryReport, check_deliveries
from tests.flow.kit import TOKEN, Clock, build, delivery, store_session

HANDLER = "note"
HANDLER_TIME = 0.005  # seconds

Post = Callable[[tuple[dict[str, str], bytes]], tuple[int, str]]
"""Sends a webhook; returns the HTTP status and the status in the body. Raises OSError if no answer comes."""


def recorded_embed(storage: Any, recorder: DeliveryRecorder, **more: Any) -> Embed:
    """Build an Embed whose handler records its runs, and now and then fails at first."""
    embed = build(storage=storage, session_limit=None, **more)
    add_handler(embed, recorder)
    return embed


def add_handler(embed: Embed, recorder: DeliveryRecorder) -> None:
    """Add the handler that records its runs."""
    failed: set[str] = set()

    def note(registration: Registration, credentials: Credentials) -> None:
        name = registration.registration_id
        with recorder.running(HANDLER, registration, credentials):
            time.sleep(HANDLER_TIME)
            if name.endswith("7") and name not in failed:
                failed.add(name)
                raise ValueError("try again")

    embed.on_completed(name=HANDLER)(note)


def deliver_to(
    post: Post,
    storage: Any,
    folder: Path,
    *,
    registrations: int,
    clients: int = 4,
    faults: Sequence[Callable[[], None]] = (),
    seed: int = 1,
) -> DeliveryReport:
    """Deliver two completions of each registration, each twice, in any order, and check what became of them.

    A third of the sessions has expired, and is purged meanwhile. Another thread reconciles. The faults
    happen at even distances, in numbers of deliveries.
    """
    recorder = DeliveryRecorder(folder / "clients.jsonl")
    embed = recorded_embed(storage, recorder)
    names = [f"r-{number:05}" for number in range(registrations)]
    for name in names[1::3]:
        store_session(embed, name, expires_at=time.time() + 3600)
    expired = set(names[::3])
    over = Event()
    with ThreadPoolExecutor(clients + 3) as pool:
        others = [
            pool.submit(_again, over, lambda: embed.purge_expired(timedelta(0))),
            pool.submit(_again, over, embed.reconcile),
        ]
        work = _deliveries(names, random.Random(seed))
        size = -(-len(work) // clients)
        shares = [work[at : at + size] for at in range(0, len(work), size)]
        answered = count()
        running = [
            pool.submit(_deliver, _counted(post, answered), recorder, share, embed, expired)
            for share in shares
        ]
        try:
            _let_happen(faults, running, answered, len(work))
            for one in running:
                one.result()
        finally:
            over.set()
        for one in others:
            one.result()
    embed.close()
    _finish(storage, recorder, names)
    recorder.close()
    return check_deliveries(folder, [HANDLER])


def _deliveries(names: Sequence[str], chance: random.Random) -> list[tuple[str, str, str]]:
    """Return id, secret and time of completion of each delivery. Copies are near each other."""
    found = []
    for name in names:
        for version in (1, 2):
            completed = datetime(2026, 7, 4, 10, version, tzinfo=UTC).isoformat()
            found += [(name, f"fake-secret-{name}-{version}", completed)] * 2
    return [one for _, one in sorted((at + chance.uniform(0, 24), one) for at, one in enumerate(found))]


def _deliver(
    post: Post,
    recorder: DeliveryRecorder,
    work: Sequence[tuple[str, str, str]],
    embed: Embed,
    expired: set[str],
) -> None:
    for name, secret, completed in work:
        if name in expired:  # stored only now, so that it is purged while its webhooks arrive
            with suppress(StorageUnavailable):
                store_session(embed, name, expires_at=time.time() - 60)
        with recorder.delivering(name, secret, completed) as answer:
            webhook = delivery(token=TOKEN, registration_id=name, app_secret=secret, completed_at=completed)
            try:
                answer.status, answer.word = post(webhook)
            except (OSError, ValueError):  # it was killed meanwhile
                time.sleep(0.05)


def _again(over: Event, act: Callable[[], object]) -> None:
    while not over.is_set():
        try:
            act()
        except StorageUnavailable:
            time.sleep(0.05)
        time.sleep(0.002)


def _counted(post: Post, answered: Iterator[int]) -> Post:
    def counted(webhook: tuple[dict[str, str], bytes]) -> tuple[int, str]:
        try:
            return post(webhook)
        finally:
            next(answered)

    return counted


def _let_happen(
    faults: Sequence[Callable[[], None]], running: Sequence[Any], answered: count[int], deliveries: int
) -> None:
    for number, fault in enumerate(faults, start=1):
        while _so_far(answered) < deliveries * number / (len(faults) + 1):
            if all(one.done() for one in running):
                return
            time.sleep(0.01)
        fault()


def _so_far(numbers: count[int]) -> int:
    """Return what the counter has counted, without counting."""
    return int(repr(numbers).strip("count()"))


def _finish(storage: Any, recorder: DeliveryRecorder, names: Sequence[str]) -> None:
    """Reconcile, later and later, until nothing is due, and note what is stored."""
    ahead = Clock(time.time() + 120)
    later = recorded_embed(storage, recorder, clock=ahead)
    give_up = time.monotonic() + 60
    while _reconciles(later):
        assert time.monotonic() < give_up
        ahead.advance(120)
    for name in names:
        recorder.stored(name, later.credentials(name))
    later.close()


def _reconciles(embed: Embed) -> bool:
    """Reconcile. Return whether there may be more to do."""
    try:
        did = embed.reconcile()
    except StorageUnavailable:
        time.sleep(0.1)
        return True
    return bool(did.handlers_done or did.handlers_failed or did.failed)
