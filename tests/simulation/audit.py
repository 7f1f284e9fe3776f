"""The promises that a simulation checks: at each write, at each answer, at each handler run, and at the end.

A broken promise is noted in `broken`, not raised: code under test would catch it.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ca_embed._registration import State
from ca_embed.storage import SealedRecord
from tests.simulation.chatarchitect import ChatArchitect, Delivery

SKEW = 36 * 3600.0  # seconds by which a host's clock is wrong at most
_WINDOW = 1800.0  # seconds over which questions and attempts are counted
_QUESTIONS, _ATTEMPTS = 20, 12  # at most so many in a window

Rank = tuple[float, float]


@dataclass
class Run:
    """One handler run that has begun."""

    registration_id: str
    name: str
    secret: str
    owner: Any
    began: float
    ended: float | None = None
    succeeded: bool = False


class Audit(logging.Handler):
    """Sees every write, answer, handler run and line of the log."""

    def __init__(
        self,
        now: Callable[[], float],
        api: ChatArchitect,
        opened: Callable[[SealedRecord], State],
        hidden: Iterable[str],
        say: Callable[[str], None],
    ) -> None:
        """Take the true time, ChatArchitect, what opens a record, and the texts that never show in clear.

        say: adds a line to the trace.
        """
        super().__init__(level=logging.DEBUG)
        self._now, self._api, self._opened = now, api, opened
        self._hidden = set(hidden)
        self.say = say
        self.broken: list[str] = []
        self.floor: dict[str, Rank] = {}  # what was acknowledged, by registration id
        self.stored_for: dict[str, str] = {}  # the user of each session whose creation was answered
        self.gone: dict[str, float] = {}  # the registrations that may be missing, and since when
        self.forgotten: dict[str, float] = {}  # those that must be missing
        self.disconnected: set[str] = set()  # those whose credentials must be missing
        self.removed: set[str] = set()  # those whose record was removed once, with all that it said
        self.owing: dict[tuple[str, str], frozenset[str]] = {}  # handlers, by registration id and secret
        self.creators: dict[str, frozenset[str]] = {}  # the handlers of the host that created the session
        self.runs: list[Run] = []
        self.disturbed: dict[str, list[float]] = defaultdict(list)  # when what went wrong
        self.under_way: Callable[[], set[str]] = set  # what is wrong now
        self.checks = 0
        self._durable: set[tuple[str, str]] = set()
        self._state: dict[tuple[str, int, bytes], State] = {}
        self._visible: Callable[[str], SealedRecord | None] = lambda _registration_id: None
        self._durable_record = self._visible

    def watch(
        self,
        visible: Callable[[str], SealedRecord | None],
        durable: Callable[[str], SealedRecord | None],
    ) -> None:
        """Take what loads the visible and the durable record of a registration."""
        self._visible, self._durable_record = visible, durable

    def fail(self, promise: str) -> None:
        """Note a broken promise."""
        self.broken.append(promise)

    def require(self, true: object, promise: str) -> None:
        """Check a promise."""
        self.checks += 1
        if not true:
            self.fail(promise)

    # --- disturbances ----------------------------------------------------------------------------

    def disturb(self, kind: str) -> None:
        """Note that something goes wrong now; some promises hold only while nothing does."""
        self.disturbed[kind].append(self._now())

    def was_disturbed(self, since: float, *kinds: str) -> bool:
        """Tell whether something of these kinds has gone wrong since then."""
        return any(
            kind in self.under_way() or (self.disturbed[kind] and self.disturbed[kind][-1] >= since)
            for kind in kinds
        )

    # --- writes ----------------------------------------------------------------------------------

    def wrote(self, host: Any, before: SealedRecord | None, after: SealedRecord | None) -> None:
        """Check one change of one record."""
        if after is not None:
            self._require_no_secret("a stored record", after.document, after.registration_id, after.user_id)
        known = before or after
        if known is None or "~" in known.registration_id:
            return
        old = None if before is None else self.state_of(before)
        new = None if after is None else self.state_of(after)
        self.say(f"{host}   {known.registration_id} becomes {'nothing' if new is None else self._shown(new)}")
        if new is None:
            self._removed(old)
        else:
            self._require_forward(host, old, new)
            self._require_floor(new)

    def _shown(self, state: State) -> str:
        """Describe a state for the trace."""
        now, claim = self._now(), state.claim
        words = [state.registration.status]
        if state.credentials is not None:
            words.append(f"credentials {state.generation}")
        if state.look_at is not None:
            words.append(f"look in {state.look_at - now:.0f} s")
        if claim is not None:
            words.append(f"claimed by {claim.worker[:4]} for {claim.lease_ends - now:.0f} s")
        for run in state.handlers:
            due = (
                "done"
                if run.due_at is None
                else "parked"
                if run.parked
                else f"due in {run.due_at - now:.0f} s"
            )
            words.append(f"{run.name} {due} ({run.attempts})")
        return ", ".join(words)

    def _removed(self, old: State | None) -> None:
        assert old is not None
        registration = old.registration
        registration_id, now = registration.registration_id, self._now()
        if old.erased:
            ends = registration.expires_at
            self.require(
                ends is not None and now + SKEW >= ends.timestamp(),
                f"{registration_id}: tombstone went early",
            )
        else:
            self.require(not old.completed, f"{registration_id}: a completed registration was removed")
        self.gone.setdefault(registration_id, now)
        self.removed.add(registration_id)
        self.creators.pop(registration_id, None)
        self.floor.pop(registration_id, None)

    def _require_forward(self, host: Any, old: State | None, new: State) -> None:
        registration_id = new.registration.registration_id
        if new.erased:
            return
        if old is not None:
            self.require(
                not (old.completed and not new.completed) or registration_id in self.gone,
                f"{registration_id}: credentials were taken away",
            )
            self.require(
                old.erased or old.registration.user_id in (None, new.registration.user_id),
                f"{registration_id}: it went to another user",
            )
        if new.credentials is None:
            return
        secret = new.credentials.app_secret
        self.require(
            registration_id not in self.disconnected - self.removed,
            f"{registration_id}: it was disconnected, and its credentials are back",
        )
        self.require(secret in self._api.secrets, f"{registration_id}: forged credentials were stored")
        previous = None if old is None or old.credentials is None else old.credentials.app_secret
        if previous == secret:
            return
        self.owing[registration_id, secret] = frozenset(host.handlers)
        if old is not None and previous is not None:
            self.require(
                self.rank(old) < self.rank(new), f"{registration_id}: older credentials replaced newer ones"
            )

    def _require_floor(self, state: State) -> None:
        registration_id = state.registration.registration_id
        floor = self.floor.get(registration_id)
        if floor is None or registration_id in self.gone or state.erased:
            return
        holds = state.completed and self.rank(state) >= floor
        self.require(holds, f"{registration_id}: acknowledged credentials were lost")

    def became_durable(self, record: SealedRecord) -> None:
        """Note the credentials that outlive every crash."""
        if "~" not in record.registration_id and (state := self.state_of(record)).credentials:
            self._durable.add((record.registration_id, state.credentials.app_secret))

    def promoted(self) -> None:
        """Check after a promotion that everything acknowledged is still there."""
        self.disturb("promotion")
        for registration_id in list(self.floor):
            self.require_kept(registration_id)
        self._durable = {
            (registration_id, state.credentials.app_secret)
            for registration_id, _ in self._durable
            if (state := self._state_now(registration_id)) is not None and state.credentials is not None
        } | self._durable

    def require_kept(self, registration_id: str) -> None:
        """Check that what was acknowledged of a registration is stored."""
        if registration_id in self.gone or registration_id not in self.floor:
            return
        state = self._state_now(registration_id)
        if state is None:
            self.fail(f"{registration_id}: acknowledged credentials were lost")
        else:
            self._require_floor(state)

    # --- answers ---------------------------------------------------------------------------------

    def acknowledged(self, delivery: Delivery, word: str, began: float) -> None:
        """Check that what a webhook was answered is true: the credentials, or newer ones, are stored."""
        registration_id = delivery.registration_id
        self.require(not delivery.forged, f"{registration_id}: forged ({delivery.forged}) and {word}")
        if delivery.forged or self.gone.get(registration_id, -1.0) >= began:
            return
        record = self._durable_record(registration_id)
        state = None if record is None else self.state_of(record)
        if state is None:
            self.require(
                registration_id in self.gone, f"{registration_id}: {word} was said, and nothing is stored"
            )
            return
        if state.erased or registration_id in self.disconnected:
            return
        delivered = (delivery.completed_at, float(delivery.signed_at))
        same = state.credentials is not None and state.credentials.app_secret == delivery.issue.app_secret
        if not same:
            self.require(
                state.completed and self.rank(state) >= delivered,
                f"{registration_id}: {word} was said, and these credentials are not stored",
            )
        self.gone.pop(registration_id, None)  # stored anew, after a purge
        self.floor[registration_id] = max(
            self.floor.get(registration_id, (-math.inf, -1.0)), self.rank(state)
        )

    def answered(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Check what every answer keeps."""
        self.require(status in (200, 201, 204, 304) or 400 <= status < 500 or status in (502, 503, 504),
                     f"an answer had the status {status}")  # fmt: skip
        self._require_no_secret("an answer", body, *(value for _, value in headers))
        self.require(b"app_id" not in body and b"app_r" not in body, "an answer had an app_id")

    # --- handlers --------------------------------------------------------------------------------

    def handler_began(self, registration_id: str, name: str, secret: str, owner: Any) -> Run:
        """Check that a handler runs for what is durable, and not beside itself."""
        now = self._now()
        self.require(
            (registration_id, secret) in self._durable,
            f"{registration_id}: {name} ran before the durable write",
        )
        mine = [run for run in self.runs if (run.registration_id, run.name) == (registration_id, name)]
        for run in mine:
            beside = run.ended is None and not run.owner.dead
            excused = self.was_disturbed(run.began - 70, "clock", "storage", "promotion")
            self.require(excused or not beside, f"{registration_id}: {name} ran twice at the same time")
            again = run.succeeded and run.secret == secret
            since = run.began - 70
            excused = self.was_disturbed(since, "clock", "storage", "promotion", "crash", "replay")
            self.require(excused or not again, f"{registration_id}: {name} ran again after it had succeeded")
        attempts = [run for run in mine if run.secret == secret and run.began > now - _WINDOW]
        excused = self.was_disturbed(now - _WINDOW, "clock", "storage", "promotion", "crash", "replay")
        self.require(
            excused or len(attempts) <= _ATTEMPTS,
            f"{registration_id}: {name} was tried {len(attempts)} times",
        )
        run = Run(registration_id, name, secret, owner, now)
        self.runs.append(run)
        return run

    # --- the Partner API -------------------------------------------------------------------------

    def require_few_questions(self, active_since: Callable[[str, float], int]) -> None:
        """Check the latest question of a pass: not too many, not during a pause, one pass at a time.

        active_since: how often a page has asked about a registration, or its status changed, since then.
        """
        call = self._api.calls[-1]
        if call.action != "result" or "pass" not in call.task:
            return
        since = call.at - _WINDOW
        excused = self.was_disturbed(since - 3600, "clock", "storage", "promotion", "crash")
        if excused:
            return
        recent = [one for one in self._api.calls if one.at > since and one.action == "result"]
        passes = [one for one in recent if "pass" in one.task]
        about = [one for one in passes if one.registration_id == call.registration_id and one.status != 429]
        most = _QUESTIONS + 10 * active_since(call.registration_id, since)
        self.require(len(about) <= most, f"{call.registration_id}: passes asked {len(about)} times")
        refused = [one for one in passes if one.status == 429 and one is not call]
        pause = self._api.retry_after
        if refused and pause is not None and call.status == 429:
            after = [one for one in passes if refused[0].at <= one.at < refused[0].at + pause]
            self.require(len(after) <= 10, f"{len(after)} questions were asked during a pause of {pause} s")
        others = {one.task.partition("/")[0] for one in passes if one.owner is not call.owner}
        mine = [one.at for one in passes if one.task.partition("/")[0] == call.task.partition("/")[0]]
        for other in others:
            theirs = [one.at for one in passes if one.task.partition("/")[0] == other]
            together = min(mine) < max(theirs) and min(theirs) < max(mine)
            self.require(not together, f"two passes asked at the same time: {call.task} and {other}")

    # --- what shows nowhere ----------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Check a line of the log."""
        words = [record.getMessage(), *(repr(value) for value in vars(record).values())]
        self._require_no_secret("the log", *words)

    def _require_no_secret(self, where: str, *texts: bytes | str | None) -> None:
        whole = "\n".join(text.decode("latin-1") if isinstance(text, bytes) else str(text) for text in texts)
        secrets = [secret for secret in (*self._api.secrets, *self._hidden) if secret in whole]
        self.require(not secrets, f"{where} shows a secret")

    # --- states ----------------------------------------------------------------------------------

    def state_of(self, record: SealedRecord) -> State:
        """Open a record, with all keys that there ever are."""
        key = (record.registration_id, record.version, record.document[-16:])
        if key not in self._state:
            self._state[key] = self._opened(record)
        return self._state[key]

    def _state_now(self, registration_id: str) -> State | None:
        record = self._visible(registration_id)
        return None if record is None else self.state_of(record)

    def rank(self, state: State) -> Rank:
        """Return what decides between credentials: the time of completion, then that of the signature."""
        assert state.credentials is not None
        visit = self._api.visits.get(state.registration.registration_id)
        if state.signed_at is None and visit is not None and not visit.dated_results:
            return (-math.inf, -1.0)  # a result without a time yields to any webhook
        return (
            state.credentials.completed_at.timestamp(),
            -1.0 if state.signed_at is None else float(state.signed_at),
        )
