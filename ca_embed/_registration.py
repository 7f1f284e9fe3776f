"""What a registration is, and which change may follow which. Pure: no I/O and no clock.

Theory of operation
-------------------
A registration begins when a session is created. It ends as completed or expired:

    started -> phone_code_sent -> phone_verified -> form_completed -> fb_started -> completed
    any of these but completed -> expired -> completed (a completion that arrives late still counts)
    any of these -> disconnected, if the host says that it no longer uses the number

The Partner API reports the steps in between. They are shown, and decide nothing. `completed` is
special: it brings credentials, from a signed webhook or from the result endpoint. Both go through
`complete`, which alone decides what counts:

- The same credentials again are a duplicate. Neither their source nor the event id matters.
- Other credentials replace the stored ones only if they are newer. `completed_at` is compared first,
  as an instant, then the signed timestamp. Older or equal credentials change nothing. A result
  without a time counts as completed when the session was created: any webhook is newer.
- A webhook that names another user or state than the session was created with is refused.

Each handler must run for the accepted credentials. The runs that are due are part of the state, so
the write that stores the credentials stores them too. A worker claims them with a lease,
runs the handlers, and notes each run as done or failed. A failed run is due again later; a run that has
failed for a day is parked: it runs no more until an operator replays it.

An open session whose webhook may be lost is asked about, ever more rarely while nothing happens. The
Partner API's word ends the search, or a number of questions after the expiry that brought no final word.

A disconnected registration has no credentials, and nothing brings them back. It stays until it is erased.

An erased registration leaves a tombstone for a while, so that no late webhook or answer brings it back.

`due_at` says when a worker must look at the state again: an open session may have lost its webhook,
a handler must run (again), a lease has ended and its worker has not released it, or a tombstone may be
removed. None means that there is nothing to do. Storages have an index over this number alone, so it has
four bands: registrations that owe handler runs come first, then open sessions and tombstones, then what is
parked, then events whose handlers are done. A worker reads each band by itself: no number of open sessions
delays a handler.

A state is that of a registration, or of a signed event that came for one (`event`). Both owe handler runs,
and share the rules for them.

Hosts' clocks may be wrong by hours, and a host's word lasts. So the clock alone never ends a search or
stores an expiry; a time that no right clock can have written does not count (a claim that lasts longer
than a lease, a question in the future, a look more than MAX_AHEAD away).

Times are Unix seconds. Those that the public sees are `datetime` in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import NamedTuple

from ca_embed._events import Event, SignedEvent

LOST_AFTER = 5.0  # seconds; an open session this old may have lost its webhook
ASK_EVERY = 3.0  # seconds between two questions about one registration that its page causes
FIRST_PAUSE, LAST_PAUSE = 5.0, 900.0  # seconds between two questions that reconciling workers cause
ANSWERS_AFTER_EXPIRY = 8  # that were no final word; then the search ends
SEARCH_AFTER_EXPIRY = 7 * 24 * 3600.0  # seconds after which questions without any answer count as well
HANDLER_LEASE = 60.0  # seconds; a worker that has not renewed its claim for so long counts as dead
HANDLER_FIRST_RETRY, HANDLER_LAST_RETRY = 15.0, 3600.0  # seconds; the wait doubles from one to the other
PARK_AFTER = 24 * 3600.0  # seconds of failures after which a handler run is parked
UNKNOWN_LAST_RETRY = 900.0  # seconds; the longest wait for a process that knows the handler
TOMBSTONE_LIFE = 7 * 24 * 3600.0  # seconds after the session's end: longer than any clock is wrong
MAX_AHEAD = HANDLER_LAST_RETRY + 300  # seconds; no right clock writes a later `due_at`
# What the page hears from the iframe, in the order in which it happens (guide, "Parent Page Events"). A user
# cancels or fails after the steps that were reached, and may still succeed at the next attempt.
PAGE_STEPS = ("ready", "phone_verified", "facebook_started", "cancelled", "failed", "completed")
ERASED = "erased"  # the status of a tombstone, which no caller sees
HANDLER_BAND = -1e11  # added to the time when handlers are due, so that these come before all sessions
PARKED_BAND = 1e11  # added to the time when a run was parked
DONE_BAND = 3e11  # added to the time when an event was received whose handlers are done


EVENT = "event"  # the status of an event's record, which no caller sees


class Status(StrEnum):
    """The statuses that the guide names, and `DISCONNECTED`, which the host itself has set.

    The Partner API may report others, which are shown unchanged.
    """

    STARTED = "started"
    PHONE_CODE_SENT = "phone_code_sent"
    PHONE_VERIFIED = "phone_verified"
    FORM_COMPLETED = "form_completed"
    FB_STARTED = "fb_started"
    COMPLETED = "completed"
    EXPIRED = "expired"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What ChatArchitect issues for a registered number. `repr` hides the secret."""

    app_id: str
    app_secret: str
    phone: str | None
    integration: str | None
    completed_at: datetime

    def __repr__(self) -> str:
        """Show everything but the secret."""
        return (
            f"Credentials(app_id={self.app_id!r}, app_secret=<hidden>, phone={self.phone!r}, "
            f"integration={self.integration!r}, completed_at={self.completed_at.isoformat()})"
        )

    def _same_as(self, other: Credentials) -> bool:
        """Tell whether both are equal, except for the time: a repeated webhook may carry another."""
        return self._content() == other._content()

    def _content(self) -> tuple[str | None, ...]:
        return (self.app_id, self.app_secret, self.phone, self.integration)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerStatus:
    """How far one handler of a registration is.

    state: "due", "done" or "parked". attempts: the runs so far. next_at: when it is due; None if it is not.
    last_error: the type and place of the last failure, without its message; None if there was none.
    """

    name: str
    state: str
    attempts: int
    next_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One user's registration, without its secrets. Times are UTC. None means: not known.

    user_id: the user's id in the host application.
    status: a `Status`, or a newer word of the Partner API.
    furthest_step: how far its page says that the user has come: "ready", "phone_verified",
        "facebook_started", "cancelled", "failed" or "completed". It proves nothing: `status` says whether
        the registration is completed.
    handlers: the handlers that get its credentials; empty before it is completed.
    """

    registration_id: str
    status: str
    user_id: str | None
    partner_state: str | None = field(default=None, repr=False)
    integration: str | None = None
    lang: str | None = None
    parent_origin: str | None = None
    phone: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    completed_at: datetime | None = None
    furthest_step: str | None = None
    handlers: tuple[HandlerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A session that the Partner API has created. `iframe_url` is safe to send to the browser."""

    registration_id: str
    iframe_url: str
    expires_at: datetime
    status: str


class PartnerFields(NamedTuple):
    """The `partner_user_id` and `partner_state` of a session, which its webhook returns unchanged."""

    user_id: str | None
    partner_state: str | None

    def __repr__(self) -> str:
        """Show the user and hide the state."""
        return f"PartnerFields(user_id={self.user_id!r}, partner_state=<hidden>)"


@dataclass(slots=True, kw_only=True)  # not frozen: that would take most of the time of reading a webhook
class Completion:
    """The report that a registration is completed, with its credentials.

    signed_at: the webhook's X-CA-Timestamp; None if the result endpoint reported it.
    partner_fields: what the webhook returned; None if the result endpoint reported it.
    token_id: the partner token that signed the webhook or asked the result endpoint.
    dated: False if the report named no time at all. `credentials.completed_at` is then the time it was read.
    """

    registration_id: str
    credentials: Credentials
    signed_at: int | None
    partner_fields: PartnerFields | None
    token_id: str
    dated: bool = True


@dataclass(frozen=True, slots=True)
class HandlerRun:
    """One run of a handler. It is due from `due_at` on; None once it is done.

    failing_since: when the first of its failures in a row was noted; None if the last attempt succeeded.
    last_error: the type and place of the last failure, without its message.
    round: how many times an operator has replayed it. The end of an older round's run changes nothing.
    """

    name: str
    due_at: float | None
    attempts: int = 0
    failing_since: float | None = None
    last_error: str | None = None
    round: int = 0

    @property
    def parked(self) -> bool:
        """Whether it runs no more until it is replayed."""
        return self.due_at is not None and self.due_at >= PARKED_BAND


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's right to run the handlers until the lease ends."""

    worker: str
    lease_ends: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that is known about one registration. It is sealed and stored.

    The field names are stored too, so a later release must still read them.

    token_id: the partner token that created the session; for an unknown session, that of its completion.
    iframe_url: the page of the session; None if it is not known, as for sessions of older releases.
    generation: how many credentials were accepted so far.
    asked_at: when the Partner API was last asked.
    active_at: when the page last asked, or the status last changed; None: not since the session was created.
    inconclusive: the answers after the expiry that were no final word.
    look_at: when a worker must look at the open session; None if no completion can be expected any more.
    expiry_counted: whether a pass has counted the expiry.
    host_handlers: the names of the handlers in the process that created the session.
    handlers: the handler runs of the latest credentials.
    event: the event, if the state is of one. `registration` then has the id of its record alone.
    disconnected: the host no longer uses the number; nothing brings its credentials back.
    erased: a tombstone: nothing of the user is left, and nothing brings it back.
    unknown: fields that a newer release has stored, by the part of the state that they are in.
    """

    registration: Registration
    token_id: str
    iframe_url: str | None = None
    credentials: Credentials | None = None
    signed_at: int | None = None
    generation: int = 0
    asked_at: float | None = None
    active_at: float | None = None
    inconclusive: int = 0
    look_at: float | None = None
    expiry_counted: bool = False
    host_handlers: tuple[str, ...] = ()
    handlers: tuple[HandlerRun, ...] = ()
    claim: Claim | None = None
    event: SignedEvent | None = None
    disconnected: bool = False
    erased: bool = False
    unknown: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def completed(self) -> bool:
        """Whether credentials were accepted."""
        return self.credentials is not None

    @property
    def is_open(self) -> bool:
        """Whether a completion may still be expected."""
        return not self.completed and not self.has_ended and self.look_at is not None

    @property
    def has_ended(self) -> bool:
        """Whether it is disconnected or erased, so that nothing brings credentials."""
        return self.disconnected or self.erased


class Outcome(Enum):
    """What became of a completion. The value is the reason in the log."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    OLDER = "older"
    MISMATCHED = "mismatched"


# --- beginning -----------------------------------------------------------------------------------


def begin(
    registration: Registration,
    token_id: str,
    iframe_url: str,
    known: State | None,
    handlers: tuple[str, ...],
) -> State:
    """Return the state of a new session. If its completion was stored first, keep that.

    known: the stored state, or None.
    handlers: the names of this process's handlers.
    """
    if known is not None and known.erased:  # its user was erased while the session was created
        return known
    if known is None:
        lost_at = registration.created_at.timestamp() + LOST_AFTER
        return State(
            registration=registration,
            token_id=token_id,
            iframe_url=iframe_url,
            look_at=lost_at,
            host_handlers=handlers,
        )
    merged = replace(
        registration,
        status=known.registration.status,
        phone=known.registration.phone,
        integration=known.registration.integration or registration.integration,
        completed_at=known.registration.completed_at,
        furthest_step=known.registration.furthest_step,
    )
    runs = known.handlers
    if known.completed:  # the process that accepted the completion may not know all of ours
        runs = _with_runs(runs, handlers, registration.created_at.timestamp())
    return replace(
        known,
        registration=merged,
        token_id=token_id,
        iframe_url=iframe_url,
        host_handlers=handlers,
        handlers=runs,
    )


def belongs_to_another(known: State, registration: Registration) -> bool:
    """Tell whether the state stored under this registration's id names another user or state."""
    stored = PartnerFields(known.registration.user_id, known.registration.partner_state)
    return not _same_session(registration, stored)


def _with_runs(runs: tuple[HandlerRun, ...], handlers: Iterable[str], now: float) -> tuple[HandlerRun, ...]:
    """Add a due run for each of these handlers that has none."""
    known = {run.name for run in runs}
    return runs + tuple(HandlerRun(name, due_at=now) for name in dict.fromkeys(handlers) if name not in known)


# --- what the page reports -----------------------------------------------------------------------


def stepped(state: State, step: str) -> State:
    """Note a step of `PAGE_STEPS` that the page reports. One that is not further changes nothing."""
    if state.erased or _place(step) <= _place(state.registration.furthest_step):
        return state
    return replace(state, registration=replace(state.registration, furthest_step=step))


def _place(step: str | None) -> int:
    """Return the place of a step in the order. A newer release may have stored one that is unknown here."""
    if step is None:
        return -1
    return PAGE_STEPS.index(step) if step in PAGE_STEPS else len(PAGE_STEPS)


# --- completion ----------------------------------------------------------------------------------


def complete(
    known: State | None,
    completion: Completion,
    *,
    now: float,
    handlers: tuple[str, ...],
    claim: Claim | None,
) -> tuple[Outcome, State | None]:
    """Decide what a completion changes. Return the outcome and, if it is accepted, the state to store.

    handlers: the names of this process's handlers. They are due to run, and so are those of the process that
        created the session: it may be of another release and know others.
    claim: lets this worker run its handlers at once. A worker that is still running handlers for older
        credentials keeps its own claim instead, and runs them for the new ones too.
    """
    if known is None:
        return Outcome.ACCEPTED, _completed_first(completion, now, handlers, claim)
    returned = completion.partner_fields
    if not known.erased and returned is not None and not _same_session(known.registration, returned):
        return Outcome.MISMATCHED, None
    if known.erased or known.disconnected:
        return Outcome.DUPLICATE, None
    completion = _dated(completion, known.registration)
    if known.credentials is not None:
        if known.credentials._same_as(completion.credentials):
            return Outcome.DUPLICATE, None
        created_at = known.registration.created_at
        if _rank(completion.credentials, completion.signed_at, created_at) <= _rank(
            known.credentials, known.signed_at, created_at
        ):
            return Outcome.OLDER, None
    accepted = replace(
        known,
        registration=_completed(known.registration, completion.credentials),
        credentials=completion.credentials,
        signed_at=completion.signed_at,
        generation=known.generation + 1,
        look_at=None,
        handlers=_with_runs((), (*known.host_handlers, *handlers), now),
        claim=_claim_after(known, claim if handlers else None, now),
        unknown=_without_credentials(known.unknown),
    )
    return Outcome.ACCEPTED, accepted


def _dated(completion: Completion, registration: Registration) -> Completion:
    """Give a report without a time that of the session's creation. `_rank` knows it by that."""
    if completion.dated:
        return completion
    credentials = replace(completion.credentials, completed_at=registration.created_at)
    return replace(completion, credentials=credentials)


def _without_credentials(unknown: Mapping[str, Mapping[str, object]]) -> Mapping[str, Mapping[str, object]]:
    """Drop unknown fields of the older credentials and of their handler runs."""
    return {
        part: fields
        for part, fields in unknown.items()
        if part != "credentials" and not part.startswith("handlers/")
    }


def _same_session(registration: Registration, fields: PartnerFields) -> bool:
    """Compare users and states; None and an empty text mean the same."""
    created_with = (registration.user_id or "", registration.partner_state or "")
    return created_with == (fields.user_id or "", fields.partner_state or "")


def _rank(credentials: Credentials, signed_at: int | None, created_at: datetime) -> tuple[float, int]:
    """Return a key that is greater for newer credentials. At the same time, a webhook beats a result."""
    if signed_at is None and credentials.completed_at == created_at:
        return (-math.inf, -1)  # a result without a time; the clock that wrote created_at may be ahead
    return (credentials.completed_at.timestamp(), -1 if signed_at is None else signed_at)


def _claim_after(known: State, claim: Claim | None, now: float) -> Claim | None:
    """Return the claim on the handlers: a worker that is still running older ones keeps its own."""
    return claim if claim_ended(known, now) else known.claim


_COMPLETED = Status.COMPLETED.value


def _completed_first(
    completion: Completion, now: float, handlers: tuple[str, ...], claim: Claim | None
) -> State:
    """Return the state of a completion whose session is not stored."""
    return State(
        registration=_unknown_session(completion, now),
        token_id=completion.token_id,
        credentials=completion.credentials,
        signed_at=completion.signed_at,
        generation=1,
        handlers=_with_runs((), handlers, now),
        claim=claim if handlers else None,
    )


def _unknown_session(completion: Completion, now: float) -> Registration:
    """Return the registration of a session that is not stored. Its user is trusted: the webhook is signed."""
    returned = completion.partner_fields or PartnerFields(None, None)
    return Registration(
        registration_id=completion.registration_id,
        status=_COMPLETED,
        user_id=returned.user_id or None,
        partner_state=returned.partner_state or None,
        phone=completion.credentials.phone,
        integration=completion.credentials.integration,
        created_at=datetime.fromtimestamp(now, UTC),
        completed_at=completion.credentials.completed_at,
    )


def _completed(registration: Registration, credentials: Credentials) -> Registration:
    return replace(
        registration,
        status=_COMPLETED,
        phone=credentials.phone,
        integration=credentials.integration or registration.integration,
        completed_at=credentials.completed_at,
    )


# --- events ---------------------------------------------------------------------------------------


def receive(event: SignedEvent, *, now: float, handlers: tuple[str, ...], claim: Claim | None) -> State:
    """Return the state of a new event, with a due run for each of these handlers.

    claim: lets this worker run them at once.
    """
    record = Registration(
        registration_id=event.record_id,
        status=EVENT,
        user_id=None,
        created_at=datetime.fromtimestamp(now, UTC),
    )
    runs = _with_runs((), handlers, now)
    return State(
        registration=record, token_id=event.token_id, generation=1, handlers=runs, claim=claim, event=event
    )


def event_order(state: State) -> tuple[int, datetime]:
    """Return a key that sorts events by their signing, then by when they came."""
    assert state.event is not None
    return state.event.signed_at, state.registration.created_at


def must_wait_for(state: State, other: State) -> bool:
    """Tell whether an event waits for another: for one that was signed earlier and owes runs, not parked."""
    owes = any(run.due_at is not None and not run.parked for run in other.handlers)
    return owes and event_order(other) < event_order(state)


def shown_event(state: State) -> Event:
    """Return an event as callers see it, with its handlers."""
    event = state.event
    assert event is not None
    return Event(
        name=event.name,
        registration_id=event.registration_id,
        payload=event.payload,
        event_id=event.event_id,
        received_at=state.registration.created_at,
        handlers=tuple(map(_handler_status, state.handlers)),
    )


# --- asking the Partner API ----------------------------------------------------------------------


def may_ask(state: State, now: float) -> bool:
    """Tell whether a page's request may ask the Partner API now: not if it was asked a moment ago."""
    # A time in the future was written by a clock that is ahead: it holds back no one.
    asked_lately = state.asked_at is not None and state.asked_at <= now < state.asked_at + ASK_EVERY
    return state.is_open and not asked_lately


def must_ask(state: State, now: float) -> bool:
    """Tell whether a reconciling worker must ask the Partner API now."""
    return state.is_open and state.look_at is not None and not now < state.look_at <= now + MAX_AHEAD


def asking(state: State, now: float, *, by_page: bool, jitter: float) -> State:
    """Note that this worker asks now, and when the next question is due. So no other worker asks as well.

    The longer nothing has happened, the longer the pause: from FIRST_PAUSE to LAST_PAUSE.
    by_page: the question comes from the page, so the user is there.
    jitter: from 0 to 1; shortens the pause by up to a fifth, so that many sessions spread out.
    """
    active_at = now if by_page else state.active_at
    since = state.registration.created_at.timestamp() if active_at is None or active_at > now else active_at
    # A creation in the future was written by a clock that is ahead: then each pause is twice the last one.
    quiet = now - since if since <= now else 2 * _last_pause(state)
    pause = min(max(quiet, FIRST_PAUSE), LAST_PAUSE) * (1 - jitter / 5)
    return replace(state, asked_at=now, active_at=active_at, look_at=now + pause)


def _last_pause(state: State) -> float:
    """Return the pause that the last question has set. Both times are of one clock, right or wrong."""
    return 0.0 if state.asked_at is None or state.look_at is None else state.look_at - state.asked_at


def answered(state: State, status: str, now: float) -> State:
    """Note the status that the Partner API reported for a registration that is not completed."""
    if not state.is_open:
        return state
    if status == Status.EXPIRED:
        return replace(state, registration=replace(state.registration, status=status), look_at=None)
    if status != state.registration.status:
        known = replace(state.registration, status=status)
        state = replace(state, registration=known, active_at=now, look_at=now + FIRST_PAUSE)
    return _without_final_word(state, now)


def rejected(state: State, now: float) -> State:
    """Note that the Partner API refused to report the status of this registration."""
    return _without_final_word(state, now) if state.is_open else state


def unreachable(state: State, now: float) -> State:
    """Note that the Partner API did not answer. That tells nothing about the registration: ask again soon."""
    if not state.is_open:
        return state
    again = replace(state, look_at=now + FIRST_PAUSE)
    # After a week without passes, one failure must not be the last question.
    return _counted(again) if _is_over(state, now - SEARCH_AFTER_EXPIRY) else again


def _without_final_word(state: State, now: float) -> State:
    """Count an answer after the expiry; end the search after enough of them.

    A host by whose clock the session is not over sets the count back: one of the two clocks is wrong.
    """
    if not _is_over(state, now):
        return replace(state, inconclusive=0, expiry_counted=False)
    return _counted(state)


def _counted(state: State) -> State:
    count = state.inconclusive + 1
    look_at = None if count >= ANSWERS_AFTER_EXPIRY else state.look_at
    return replace(state, inconclusive=count, look_at=look_at)


def as_of(state: State, now: float) -> State:
    """Return the state as it is to be shown now: an open session whose time is over has expired."""
    if state.completed or state.has_ended or not _is_over(state, now):
        return state
    return replace(state, registration=replace(state.registration, status=Status.EXPIRED.value))


def counts_as_expired(state: State, now: float) -> bool:
    """Tell whether a pass is to count the expiry of this session: it is over, and not counted yet."""
    over = _is_over(state, now) or state.registration.status == Status.EXPIRED
    return over and not state.completed and not state.has_ended and not state.expiry_counted


def _is_over(state: State, now: float) -> bool:
    expires_at = state.registration.expires_at
    return expires_at is not None and now >= expires_at.timestamp()


# --- disconnecting -------------------------------------------------------------------------------


def disconnected(state: State) -> State:
    """Return the state of a number that the host no longer uses: without credentials, and with nothing due.

    The end of a handler that still runs changes nothing, because the generation is another one.
    """
    if state.has_ended:
        return state
    return replace(
        state,
        registration=replace(state.registration, status=Status.DISCONNECTED.value),
        iframe_url=None,
        credentials=None,
        signed_at=None,
        generation=state.generation + 1,
        look_at=None,
        handlers=(),
        claim=None,
        disconnected=True,
        unknown=_without_credentials(state.unknown),
    )


# --- erasing --------------------------------------------------------------------------------------


def erased(state: State, now: float) -> State:
    """Return the tombstone of a registration: its id and times, and nothing of its user."""
    known = state.registration
    ends = [moment.timestamp() for moment in (known.created_at, known.expires_at) if moment is not None]
    gone = Registration(
        registration_id=known.registration_id,
        status=ERASED,
        user_id=None,
        created_at=known.created_at,
        expires_at=datetime.fromtimestamp(max(now, *ends) + TOMBSTONE_LIFE, UTC),
    )
    return tombstone_checked(State(registration=gone, token_id=state.token_id, erased=True), now)


def tombstone_checked(state: State, now: float) -> State:
    """Note when to look at a tombstone again: at its end, and each hour, for no `due_at` is far away."""
    if not state.erased or state.registration.expires_at is None:
        return state
    return replace(state, look_at=min(state.registration.expires_at.timestamp(), now + 3600))


def may_remove(state: State, now: float) -> bool:
    """Tell whether a tombstone is no longer needed."""
    return state.erased and _is_over(state, now)


# --- handlers ------------------------------------------------------------------------------------


def runnable(state: State, worker: str, names: Iterable[str], now: float) -> tuple[str, ...]:
    """Return those of `names` that are due. None of them if another worker's claim has not ended."""
    if not claim_ended(state, now) and state.claim is not None and state.claim.worker != worker:
        return ()
    wanted = set(names)
    return tuple(run.name for run in state.handlers if run.name in wanted and _is_due(run, now))


def claimed(state: State, worker: str, now: float) -> State:
    """Give the worker the claim on the handlers, or renew its lease."""
    return replace(state, claim=Claim(worker, now + HANDLER_LEASE))


def claim_ended(state: State, now: float) -> bool:
    """Tell whether no worker has a claim on the handlers: it was released, or its lease has ended.

    A lease that ends later than a lease lasts was written by a clock that is ahead, and counts as ended.
    """
    return state.claim is None or not now < state.claim.lease_ends <= now + HANDLER_LEASE + 5


def handled(state: State, ran: State, name: str, now: float, *, error: str | None = None) -> State:
    """Note one handler run as done, or, with an error, as failed and due later.

    ran: the state that it ran with. If newer credentials were accepted or an operator has replayed it since,
    nothing changes: the new run is still due.
    """
    if state.generation != ran.generation:
        return state
    rounds = {run.name: run.round for run in ran.handlers}

    def after(run: HandlerRun) -> HandlerRun:
        this = run.name == name and run.round == rounds.get(name)
        return _after_run(run, now, error) if this else run

    return _with_each_run(state, after)


def put_off(state: State, names: Iterable[str], now: float) -> State:
    """Put off the due runs of handlers that no process knows any more: they would cost work in each pass.

    names: the handlers that some process knows. After a day, the others are parked.
    """
    known = set(names)

    def later(run: HandlerRun) -> HandlerRun:
        if run.name in known or not _is_due(run, now):
            return run
        waiting_since = now if run.failing_since is None else min(run.failing_since, now)
        pause = min(max(now - waiting_since, HANDLER_LEASE), UNKNOWN_LAST_RETRY)
        waiting = replace(run, failing_since=waiting_since, last_error="no process knows this handler")
        return _parked_after_a_day(replace(waiting, due_at=now + pause), now)

    return _with_each_run(state, later)


def replayed(state: State, name: str | None, names: Iterable[str], now: float) -> State:
    """Make handler runs due now, also those that are done or parked.

    name: this run alone, which may be of a new handler; None: all runs, and one for each of `names`.
    """
    runs = _with_runs(state.handlers, names if name is None else [name], now)
    again = tuple(
        HandlerRun(run.name, due_at=now, round=run.round + 1) if name in (None, run.name) else run
        for run in runs
    )
    return replace(state, handlers=again)


def released(state: State, worker: str) -> State:
    """Release the claim, if it is still this worker's."""
    if state.claim is None or state.claim.worker != worker:
        return state
    return replace(state, claim=None)


def _with_each_run(state: State, change: Callable[[HandlerRun], HandlerRun]) -> State:
    return replace(state, handlers=tuple(change(run) for run in state.handlers))


def _after_run(run: HandlerRun, now: float, error: str | None) -> HandlerRun:
    if error is None:
        return HandlerRun(run.name, due_at=None, attempts=run.attempts + 1, round=run.round)
    # The exponent is bounded: 2.0 ** 1024 would overflow.
    pause = min(HANDLER_FIRST_RETRY * 2.0 ** min(run.attempts, 16), HANDLER_LAST_RETRY)
    failing_since = now if run.failing_since is None else min(run.failing_since, now)
    failed = HandlerRun(run.name, now + pause, run.attempts + 1, failing_since, error, run.round)
    return _parked_after_a_day(failed, now)


def _parked_after_a_day(run: HandlerRun, now: float) -> HandlerRun:
    if run.failing_since is None or now - run.failing_since < PARK_AFTER:
        return run
    return replace(run, due_at=PARKED_BAND + now)


def _is_due(run: HandlerRun, now: float) -> bool:
    return run.due_at is not None and not run.parked and not now < run.due_at <= now + MAX_AHEAD


def shown(state: State) -> Registration:
    """Return a registration as callers see it, with its handlers."""
    return replace(state.registration, handlers=tuple(map(_handler_status, state.handlers)))


def _handler_status(run: HandlerRun) -> HandlerStatus:
    due = run.due_at is not None and not run.parked
    return HandlerStatus(
        name=run.name,
        state="parked" if run.parked else "due" if due else "done",
        attempts=run.attempts,
        next_at=datetime.fromtimestamp(run.due_at, UTC) if due and run.due_at is not None else None,
        last_error=run.last_error,
    )


# --- when to look again --------------------------------------------------------------------------


def due_at(state: State) -> float | None:
    """Return when a worker must look at the state again; None if there is nothing to do.

    In Unix seconds. HANDLER_BAND is added if handlers are due, PARKED_BAND if all that is left is parked,
    DONE_BAND if nothing is left of an event.
    """
    if not state.completed and state.event is None:
        return state.look_at
    runs = [run.due_at for run in state.handlers if run.due_at is not None]
    if not runs:
        return None if state.event is None else DONE_BAND + state.registration.created_at.timestamp()
    # Before the lease ends, only its worker may run them.
    earliest = max(min(runs), state.claim.lease_ends) if state.claim else min(runs)
    return earliest if earliest >= PARKED_BAND else HANDLER_BAND + earliest
