"""What a registration is, and which change may follow which. Pure: no I/O and no clock.

Theory of operation
-------------------
A registration begins when a session is created. It ends as completed or expired:

    started -> phone_code_sent -> phone_verified -> form_completed -> fb_started -> completed
    any of these but completed -> expired -> completed (a completion that arrives late still counts)

The Partner API reports the steps in between. They are shown, and decide nothing. `completed` is
special: it brings credentials, from a signed webhook or from the result endpoint. Both go through
`complete`, which alone decides what counts:

- The same credentials again are a duplicate. Neither their source nor the event id matters.
- Other credentials replace the stored ones only if they are newer. `completed_at` is compared first,
  as an instant, then the signed timestamp. Older or equal credentials change nothing.
- A webhook that names another user or state than the session was created with is refused.

Each handler must run for the accepted credentials. The runs that are due are part of the state, so
the write that stores the credentials stores them too. A worker claims them with a lease, runs the
handlers, and notes each run as done or failed.

`due_at` says when a worker must look at the state again: an open session may have lost its webhook,
a handler must run (again), or a lease has ended and its worker has not released it. None means that
there is nothing to do.

Times are Unix seconds. Those that the public sees are `datetime` in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import NamedTuple

LOST_AFTER = 5.0  # seconds; an open session this old may have lost its webhook
ASK_EVERY = 3.0  # seconds between two questions about one registration that its page causes
RECONCILE_EVERY = 0.5  # seconds between two that reconciling workers cause
EXPIRY_GRACE = 900.0  # seconds after expiry in which the Partner API is still asked for a late completion
HANDLER_LEASE = 60.0  # seconds; a worker that has not renewed its claim for so long counts as dead
HANDLER_FIRST_RETRY, HANDLER_LAST_RETRY = 15.0, 3600.0  # seconds; the wait doubles from one to the other


class Status(StrEnum):
    """The statuses that the guide names. The Partner API may report others, which are shown unchanged."""

    STARTED = "started"
    PHONE_CODE_SENT = "phone_code_sent"
    PHONE_VERIFIED = "phone_verified"
    FORM_COMPLETED = "form_completed"
    FB_STARTED = "fb_started"
    COMPLETED = "completed"
    EXPIRED = "expired"


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
class Registration:
    """One user's registration, without its secrets. Times are UTC. None means: not known.

    user_id: the user's id in the host application.
    status: a `Status`, or a newer word of the Partner API.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The report that a registration is completed, with its credentials.

    signed_at: the webhook's X-CA-Timestamp; None if the result endpoint reported it.
    partner_fields: what the webhook returned; None if the result endpoint reported it.
    token_id: the partner token that signed the webhook or asked the result endpoint.
    """

    registration_id: str
    credentials: Credentials
    signed_at: int | None
    partner_fields: PartnerFields | None
    token_id: str


@dataclass(frozen=True, slots=True)
class HandlerRun:
    """One run of a handler. It is due from `due_at` on; None once it is done."""

    name: str
    due_at: float | None
    attempts: int = 0


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
    generation: how many credentials were accepted so far.
    asked_at: when the Partner API was last asked.
    look_at: when a worker must look at the open session; None if no completion can be expected any more.
    host_handlers: the names of the handlers in the process that created the session.
    handlers: the handler runs of the latest credentials.
    """

    registration: Registration
    token_id: str
    credentials: Credentials | None = None
    signed_at: int | None = None
    generation: int = 0
    asked_at: float | None = None
    look_at: float | None = None
    host_handlers: tuple[str, ...] = ()
    handlers: tuple[HandlerRun, ...] = ()
    claim: Claim | None = None

    @property
    def completed(self) -> bool:
        """Whether credentials were accepted."""
        return self.credentials is not None


class Outcome(Enum):
    """What became of a completion. The value is the reason in the log."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    OLDER = "older"
    MISMATCHED = "mismatched"


# --- beginning -----------------------------------------------------------------------------------


def begin(registration: Registration, token_id: str, known: State | None, handlers: tuple[str, ...]) -> State:
    """Return the state of a new session. If its completion was stored first, keep that.

    known: the stored state, or None.
    handlers: the names of this process's handlers.
    """
    if known is None:
        lost_at = registration.created_at.timestamp() + LOST_AFTER
        return State(registration=registration, token_id=token_id, look_at=lost_at, host_handlers=handlers)
    merged = replace(
        registration,
        status=known.registration.status,
        phone=known.registration.phone,
        integration=known.registration.integration or registration.integration,
        completed_at=known.registration.completed_at,
    )
    runs = known.handlers
    if known.completed and not runs:  # a process without handlers accepted the completion
        runs = _due_runs(handlers, registration.created_at.timestamp())
    return replace(known, registration=merged, token_id=token_id, host_handlers=handlers, handlers=runs)


def belongs_to_another(known: State, registration: Registration) -> bool:
    """Tell whether the state stored under this registration's id names another user or state."""
    stored = PartnerFields(known.registration.user_id, known.registration.partner_state)
    return not _same_session(registration, stored)


def _due_runs(handlers: Iterable[str], now: float) -> tuple[HandlerRun, ...]:
    return tuple(HandlerRun(name, due_at=now) for name in handlers)


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

    handlers: the names of this process's handlers, which are due to run. If there are none, the handlers of
        the process that created the session are due.
    claim: lets this worker run its handlers at once. A worker that is still running handlers for older
        credentials keeps its own claim instead, and runs them for the new ones too.
    """
    if known is not None:
        returned = completion.partner_fields
        if returned is not None and not _same_session(known.registration, returned):
            return Outcome.MISMATCHED, None
        if known.credentials is not None:
            if known.credentials._same_as(completion.credentials):
                return Outcome.DUPLICATE, None
            if _rank(completion.credentials, completion.signed_at) <= _rank(
                known.credentials, known.signed_at
            ):
                return Outcome.OLDER, None
    base = known or State(registration=_unknown_session(completion, now), token_id=completion.token_id)
    busy = base.claim is not None and now < base.claim.lease_ends
    accepted = replace(
        base,
        registration=_completed(base.registration, completion.credentials),
        credentials=completion.credentials,
        signed_at=completion.signed_at,
        generation=base.generation + 1,
        look_at=None,
        handlers=_due_runs(handlers or base.host_handlers, now),
        claim=base.claim if busy else claim if handlers else None,
    )
    return Outcome.ACCEPTED, accepted


def _same_session(registration: Registration, fields: PartnerFields) -> bool:
    """Compare users and states; None and an empty text mean the same."""
    created_with = (registration.user_id or "", registration.partner_state or "")
    return created_with == (fields.user_id or "", fields.partner_state or "")


def _rank(credentials: Credentials, signed_at: int | None) -> tuple[float, int]:
    """Return a key that is greater for newer credentials. At the same time, a webhook beats a result."""
    return (credentials.completed_at.timestamp(), -1 if signed_at is None else signed_at)


def _unknown_session(completion: Completion, now: float) -> Registration:
    """Return a registration for a session that is not stored. Its user is trusted: the webhook is signed."""
    returned = completion.partner_fields or PartnerFields(None, None)
    return Registration(
        registration_id=completion.registration_id,
        status=Status.STARTED.value,
        user_id=returned.user_id or None,
        partner_state=returned.partner_state or None,
        created_at=datetime.fromtimestamp(now, UTC),
    )


def _completed(registration: Registration, credentials: Credentials) -> Registration:
    return replace(
        registration,
        status=Status.COMPLETED.value,
        phone=credentials.phone,
        integration=credentials.integration or registration.integration,
        completed_at=credentials.completed_at,
    )


# --- asking the Partner API ----------------------------------------------------------------------


def may_ask(state: State, now: float, *, every: float) -> bool:
    """Tell whether the Partner API may be asked now: the session is open and was not asked about just before.

    every: the seconds that must lie between two questions.
    """
    if state.completed or state.look_at is None:
        return False
    return state.asked_at is None or now >= state.asked_at + every


def asking(state: State, now: float) -> State:
    """Note that this worker asks now, so that no other worker asks at the same time."""
    return replace(state, asked_at=now)


def answered(state: State, status: str, now: float) -> State:
    """Note the status that the Partner API reported for a registration that is not completed."""
    if state.completed:
        return state
    look_at = None if status == Status.EXPIRED else state.look_at
    known = replace(state.registration, status=status)
    return expire(replace(state, registration=known, look_at=look_at), now)


def unanswered(state: State, now: float) -> State:
    """Note that the Partner API did not answer, and move the registration behind others that are due."""
    if state.completed or state.look_at is None:
        return state
    return expire(replace(state, look_at=max(now + RECONCILE_EVERY, state.look_at)), now)


def expire(state: State, now: float) -> State:
    """Mark an open session as expired after its time. After the grace period, no longer ask about it."""
    expires_at = state.registration.expires_at
    if state.completed or expires_at is None or now < expires_at.timestamp():
        return state
    look_at = state.look_at if now < expires_at.timestamp() + EXPIRY_GRACE else None
    expired = replace(state.registration, status=Status.EXPIRED.value)
    return replace(state, registration=expired, look_at=look_at)


# --- handlers ------------------------------------------------------------------------------------


def runnable(state: State, worker: str, names: Iterable[str], now: float) -> tuple[str, ...]:
    """Return those of `names` that are due. None of them if another worker's claim has not ended."""
    if state.claim is not None and state.claim.worker != worker and now < state.claim.lease_ends:
        return ()
    wanted = set(names)
    return tuple(run.name for run in state.handlers if run.name in wanted and _is_due(run, now))


def claimed(state: State, worker: str, now: float) -> State:
    """Give the worker the claim on the handlers, or renew its lease."""
    return replace(state, claim=Claim(worker, now + HANDLER_LEASE))


def claim_ended(state: State, now: float) -> bool:
    """Tell whether no worker has a claim on the handlers: it was released, or its lease has ended."""
    return state.claim is None or now >= state.claim.lease_ends


def handled(state: State, name: str, generation: int, now: float, *, done: bool) -> State:
    """Note one handler run as done, or as failed and due later.

    generation: that of the credentials it ran with. If newer ones were accepted meanwhile, nothing changes:
    the run for those is still due.
    """
    if state.generation != generation:
        return state
    runs = tuple(_after_run(run, now, done) if run.name == name else run for run in state.handlers)
    return replace(state, handlers=runs)


def released(state: State, worker: str) -> State:
    """Release the claim, if it is still this worker's."""
    if state.claim is None or state.claim.worker != worker:
        return state
    return replace(state, claim=None)


def _after_run(run: HandlerRun, now: float, done: bool) -> HandlerRun:
    # The exponent is bounded: 2.0 ** 1024 would overflow.
    wait = min(HANDLER_FIRST_RETRY * 2.0 ** min(run.attempts, 16), HANDLER_LAST_RETRY)
    return HandlerRun(run.name, due_at=None if done else now + wait, attempts=run.attempts + 1)


def _is_due(run: HandlerRun, now: float) -> bool:
    return run.due_at is not None and run.due_at <= now


# --- when to look again --------------------------------------------------------------------------


def due_at(state: State) -> float | None:
    """Return when a worker must look at the state again, in Unix seconds; None if there is nothing to do."""
    if not state.completed:
        return state.look_at
    runs = [run.due_at for run in state.handlers if run.due_at is not None]
    if not runs:
        return None
    # Before the lease ends, only its worker may run them.
    return max(min(runs), state.claim.lease_ends) if state.claim else min(runs)
