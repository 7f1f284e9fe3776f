"""Finish what a lost webhook, a crash or a failing handler left open.

A pass reads what is due once, each band of `due_at` by itself (see `_registration`), and no more than it can
use. First it runs handlers that are due: each record has a claim of its own, so any number of processes may
run them at once. Then it asks the Partner API about open sessions. The process that has the lease asks.
It takes the newest session and the one that waits longest in turn, and asks about several at once, until the
budget is used up. What it does not reach stays due, and the next pass takes it.

What happens to one record does not affect the others. Only a storage that fails as a whole ends a pass.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from ca_embed import _registration as rules
from ca_embed._core import Core
from ca_embed._events import is_event_record
from ca_embed._log import fields
from ca_embed._registration import DONE_BAND, HANDLER_BAND, MAX_AHEAD, PARKED_BAND, Outcome, State
from ca_embed._use_cases.handler_runner import Handover
from ca_embed._use_cases.registrar import Accepted
from ca_embed.errors import (
    PartnerError,
    PartnerTimeout,
    PartnerUnavailable,
    RecordUnreadable,
    StorageUnavailable,
)
from ca_embed.storage._base import SealedRecord

logger = logging.getLogger("ca_embed")

_P = ParamSpec("_P")
_T = TypeVar("_T")

_AT_ONCE = 8  # questions
_FAILURES_IN_A_ROW = 3  # of the storage, or of one handler
_SCAN_SHARE, _HANDLER_SHARE = 0.2, 0.5  # of the seconds
_MOST_SESSIONS = 10_000  # read in one pass: more than it can ask about
_MOST_OTHERS = 1_000  # of those that are parked, and of those that a wrong clock has put far ahead
_LATELY = 60.0  # seconds


@dataclass(slots=True)
class Reconciliation:
    """What one pass did, in registrations and handler runs.

    asked: open sessions the Partner API was asked about. completed: of those, newly completed.
    expired: newly seen as expired. unanswered: asked without getting an answer, or not asked because the
        Partner API is down.
    handlers_done, handlers_failed: handler runs. handlers_parked: parked ones, which run no more until they
        are replayed; counted in 1,000 registrations at most. handlers_unknown: due ones whose handler no
        process knows.
    unreadable: records that cannot be opened. failed: records whose storage call failed; they stay due.
    busy: whether another process was asking, so this pass did not.
    """

    asked: int = 0
    completed: int = 0
    expired: int = 0
    unanswered: int = 0
    handlers_done: int = 0
    handlers_failed: int = 0
    handlers_parked: int = 0
    handlers_unknown: int = 0
    unreadable: int = 0
    failed: int = 0
    busy: bool = False


class Pass:
    """One pass over everything that is due.

    limit: the most questions that it asks; None: no limit but the time.
    seconds: after which it starts nothing new. A handler or a question that runs then is waited for.
    """

    def __init__(self, core: Core, *, limit: int | None, seconds: float) -> None:
        """Prepare a pass; nothing is read yet."""
        self._runner, self._questions = core.handler_runner, core.questions
        self._ledger, self._breaker = core.ledger, core.breaker
        self._events = core.events
        self._event_retention = core.settings.event_retention
        self._due_events: list[tuple[tuple[int, datetime], str]] = []  # with the order of their signing
        self._own_handlers = core.handlers.all_names
        self._now = core.clock()
        self._limit = limit
        self._seconds = seconds
        self._began = time.monotonic()
        self._counts = Reconciliation()
        self._storage_failures = 0  # in a row
        self._started = 0  # questions
        self._answers = False  # whether the Partner API has answered in this pass
        self._lock = threading.Lock()

    def run(self) -> Reconciliation:
        """Do what is due, and count it. Raises StorageUnavailable if the storage fails as a whole."""
        known = self._ledger.handler_names.note(self._own_handlers)
        handlers, sessions = self._read(known)
        self._run_handlers(handlers, share=_HANDLER_SHARE if sessions else 1.0)
        if sessions:
            self._ask_about(sessions)
        self._counts.handlers_parked += self._count_parked()
        self._remove_old_events()
        return self._counts

    # --- read ------------------------------------------------------------------------------------

    def _read(self, known: frozenset[str]) -> tuple[list[str], list[State]]:
        """Return the ids of registrations with handlers that are due, and the open sessions that are.

        known: the handlers that some process knows.
        """
        handlers, sessions = list[str](), list[State]()
        for record in self._due_handlers():
            self._sort(record, known, handlers, sessions)
            if self._is_over(_SCAN_SHARE / 2):
                break
        for record in self._due_sessions():
            self._sort(record, known, handlers, sessions)
            if self._is_over(_SCAN_SHARE):
                break
        handlers += [record_id for _, record_id in sorted(self._due_events)]
        return handlers, sorted(sessions, key=lambda state: state.look_at or 0.0)

    def _due_handlers(self) -> Iterator[SealedRecord]:
        yield from self._ahead(HANDLER_BAND)
        yield from self._ledger.due(HANDLER_BAND + self._now, after=HANDLER_BAND)

    def _due_sessions(self) -> Iterator[SealedRecord]:
        """Yield open sessions that are due. Those of active users became due a moment ago, and come first."""
        yield from self._ahead(0.0)
        lately = self._now - _LATELY
        yield from islice(self._ledger.due(self._now, after=lately), _MOST_SESSIONS // 2)
        yield from islice(self._ledger.due(lately, after=0.0), _MOST_SESSIONS // 2)

    def _ahead(self, band: float) -> Iterator[SealedRecord]:
        """Yield what a clock that is ahead has put too far into the future."""
        ahead = self._ledger.due(band + PARKED_BAND - 1, after=band + self._now + MAX_AHEAD)
        for record in islice(ahead, _MOST_OTHERS):
            logger.warning(
                "reconcile reason=clock_ahead registration_id=%s; set the clocks of all hosts (NTP)",
                record.registration_id,
                extra=fields("clock_ahead", record.registration_id),
            )
            yield record

    def _sort(
        self, record: SealedRecord, known: frozenset[str], handlers: list[str], sessions: list[State]
    ) -> None:
        """Add a record to the list that it belongs to. Do at once what a tombstone needs."""
        state = self._guarded(record.registration_id, self._ledger.opened, record)
        if state is None:
            return
        if state.erased:
            self._guarded(record.registration_id, self._check_tombstone, record)
        elif state.completed or state.event is not None:
            self._sort_handlers(state, known, handlers)
        else:
            sessions.append(state)

    def _sort_handlers(self, state: State, known: frozenset[str], handlers: list[str]) -> None:
        due = rules.runnable(state, "", [run.name for run in state.handlers], self._now)
        registration_id = state.registration.registration_id
        if any(name in self._own_handlers for name in due):
            if state.event is None:
                handlers.append(registration_id)
            else:
                self._due_events.append((rules.event_order(state), registration_id))
        if unknown := [name for name in due if name not in known]:
            self._counts.handlers_unknown += len(unknown)
            logger.warning(
                "reconcile reason=unknown_handler name=%s registration_id=%s; register it, or replay",
                ",".join(unknown),
                registration_id,
                extra=fields("unknown_handler", registration_id),
            )
            self._guarded(registration_id, self._runner.put_off, registration_id, known)

    def _check_tombstone(self, record: SealedRecord) -> None:
        self._ledger.delete_events(record.registration_id)  # left by a worker that died meanwhile
        if rules.may_remove(self._ledger.opened(record), self._now):
            self._ledger.delete(record)
        else:
            self._ledger.change_known(
                record.registration_id, lambda known: rules.tombstone_checked(known, self._now)
            )

    def _count_parked(self) -> int:
        parked = islice(self._ledger.due(PARKED_BAND * 2, after=PARKED_BAND), _MOST_OTHERS)
        states = (self._guarded(one.registration_id, self._ledger.opened, one) for one in parked)
        return sum(run.parked for state in states if state is not None for run in state.handlers)

    def _remove_old_events(self) -> None:
        """Remove events whose handlers are done, once they have been kept long enough."""
        if self._event_retention is None:
            return
        old = DONE_BAND + self._now - self._event_retention
        for record in islice(self._ledger.due(old, after=DONE_BAND), _MOST_OTHERS):
            if self._is_over(1.0):
                return
            self._guarded(record.registration_id, self._ledger.delete, record)

    # --- run handlers ----------------------------------------------------------------------------

    def _run_handlers(self, registration_ids: list[str], share: float) -> None:
        """Run handlers in this thread, which has the host's context. One that keeps failing rests."""
        failures: Counter[str] = Counter()
        for registration_id in registration_ids:
            if self._is_over(share):
                return
            resting = {name for name, count in failures.items() if count >= _FAILURES_IN_A_ROW}
            failed = self._guarded(registration_id, self._claim_and_run, registration_id, resting)
            if failed is not None:
                failures.update(failed)
                for name in set(self._own_handlers) - set(failed) - resting:
                    failures.pop(name, None)

    def _claim_and_run(self, registration_id: str, resting: Collection[str]) -> tuple[str, ...]:
        claims = self._events if is_event_record(registration_id) else self._runner
        handover = claims.claim(registration_id, without=resting)
        return () if handover is None else self._run(handover, resting)

    def _run(self, handover: Handover, resting: Collection[str]) -> tuple[str, ...]:
        ran = self._runner.run(handover, without=resting)
        with self._lock:
            self._counts.handlers_done += ran.done
            self._counts.handlers_failed += len(ran.failed)
        return ran.failed

    # --- ask -------------------------------------------------------------------------------------

    def _ask_about(self, sessions: list[State]) -> None:
        lease = self._ledger.lease
        if not lease.take():
            self._counts.busy = True
            return
        try:
            self._breaker.pause_until(lease.paused_until)
            waiting = _newest_and_longest_waiting(sessions)
            self._ask_alone(waiting)
            self._ask_together(waiting)
        finally:
            lease.release(self._breaker.open_until)
        self._count_not_asked(waiting)

    def _ask_alone(self, waiting: deque[State]) -> None:
        """Ask one after the other until the Partner API answers: one that is down gets few calls."""
        while not self._answers and (state := self._next(waiting)) is not None:
            if accepted := self._ask(state):
                self._finish(state.registration.registration_id, accepted)

    def _ask_together(self, waiting: deque[State]) -> None:
        """Ask several at once. What they complete is handed over in this thread, with the host's context."""
        completed: SimpleQueue[tuple[str, Accepted] | None] = SimpleQueue()

        def ask_all() -> None:
            try:
                while (state := self._next(waiting)) is not None:
                    if accepted := self._ask(state):
                        completed.put((state.registration.registration_id, accepted))
            finally:
                completed.put(None)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ca_embed-reconcile") as threads:
            workers = []
            with suppress(RuntimeError):  # no more threads can be started: what is not asked stays due
                workers += [threads.submit(ask_all) for _ in range(min(_AT_ONCE, len(waiting)))]
            for _ in workers:
                while (one := completed.get()) is not None:
                    self._finish(*one)
            for worker in workers:
                worker.result()

    def _next(self, waiting: deque[State]) -> State | None:
        """Return the next session to ask about; None if the pass must not ask any more."""
        with self._lock:
            stop = self._is_over(1.0) or self._breaker.is_open() or self._started == self._limit
            if stop or not waiting or not self._ledger.lease.keep():
                return None
            self._started += 1
            return waiting.popleft()

    def _ask(self, state: State) -> Accepted | None:
        """Ask about one session. Returns what became of a completion, if there was one."""
        return self._guarded(state.registration.registration_id, self._claim_and_ask, state)

    def _claim_and_ask(self, state: State) -> Accepted | None:
        registration_id = state.registration.registration_id
        claimed = self._questions.claim(registration_id, by_page=False)
        if claimed is None:  # another worker was faster
            with self._lock:
                self._started -= 1
            return None
        result = self._questions.ask(claimed)
        with self._lock:
            self._counts.asked += 1
            self._counts.unanswered += isinstance(result, PartnerError)
            self._answers = self._answers or not isinstance(result, PartnerTimeout | PartnerUnavailable)
        noted = self._questions.note_result(claimed, result)
        with self._lock:
            self._counts.expired += noted.expired
        return noted.accepted

    def _finish(self, registration_id: str, accepted: Accepted) -> None:
        """Count a completion and run its handlers."""
        self._counts.completed += accepted.outcome is Outcome.ACCEPTED
        if accepted.handover is not None:
            self._guarded(registration_id, self._run, accepted.handover, ())
        else:
            self._guarded(registration_id, self._claim_and_run, registration_id, ())

    def _count_not_asked(self, waiting: Iterable[State]) -> None:
        """Count what was due and not asked because the Partner API is down; count expiries by the clock."""
        if not self._breaker.is_open():
            return
        for state in waiting:
            self._counts.unanswered += 1
            if not self._is_over(1.0):
                registration_id = state.registration.registration_id
                counted = self._guarded(registration_id, self._questions.count_expiry, state)
                self._counts.expired += bool(counted)

    # --- bounds ----------------------------------------------------------------------------------

    def _is_over(self, share: float) -> bool:
        """Tell whether this share of the seconds is used up."""
        return time.monotonic() - self._began >= self._seconds * share

    def _guarded(
        self, registration_id: str, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T | None:
        """Keep what happens to one record from the others. Raises StorageUnavailable if all of it is down."""
        try:
            result = call(*args, **kwargs)
        except RecordUnreadable as error:
            logger.error("reconcile reason=unreadable %s", error, extra=fields("unreadable", registration_id))
            with self._lock:
                self._counts.unreadable += 1
            return None
        except StorageUnavailable as error:
            extra = fields("failed", registration_id)
            logger.warning(
                "reconcile reason=failed registration_id=%s (%s)", registration_id, error, extra=extra
            )
            with self._lock:
                self._counts.failed += 1
                self._storage_failures += 1
                check = self._storage_failures >= _FAILURES_IN_A_ROW
            if check:  # is it these records, or all of the storage?
                self._ledger.probe()
            return None
        self._storage_failures = 0
        return result


def _newest_and_longest_waiting(sessions: list[State]) -> deque[State]:
    """Take the newest and the longest waiting session in turn. `sessions` begin with the longest waiting.

    The user of the newest is probably still there, and no other session waits for ever.
    """
    newest = sorted(sessions, key=lambda state: state.registration.created_at, reverse=True)
    pairs = chain.from_iterable(zip(newest, sessions, strict=True))
    return deque({state.registration.registration_id: state for state in pairs}.values())
