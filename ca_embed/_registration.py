"""What a registration is, and which change may follow which. Pure: no I/O and no clock.

Theory of operation
-------------------
A registration begins when a session is created, and it ends completed or expired:

    started -> phone_code_sent -> phone_verified -> form_completed -> fb_started -> completed
    any of these but completed -> expired -> completed (a completion that arrives late still counts)

The steps in between are the Partner API's word and only ever shown. `completed` is special: it comes
with credentials, from a signed webhook or from the result endpoint, and both go through `complete`,
which alone decides what counts:

- the same credentials again are a duplicate, whoever delivers them and under whatever event id;
- other credentials replace the stored ones only if they are newer: by `completed_at`, as instants,
  then by the signed timestamp. Older or equal ones change nothing;
- a delivery that names another user or state than the session was created with is refused.

Accepted credentials owe one run to each handler. The debt is part of the state, so it is stored by
the same write; a worker claims it with a lease, runs the handlers, and notes each as done or failed.

`due_at` says when somebody must look at the state again: an open session whose webhook may have got
lost, a handler to run (again), a lease that nobody came back for. None means nobody must.

All instants are Unix seconds; what the public sees is `datetime` in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import NamedTuple

LOST_AFTER = 5.0  # an open session this old may have lost its webhook
ASK_EVERY = 3.0  # seconds between two questions about one registration that its page causes
RECONCILE_EVERY = 0.5  # ... that reconciling workers cause
EXPIRY_GRACE = 900.0  # seconds after expiry in which a late completion is still asked for
HANDLER_LEASE = 60.0  # seconds after which a worker that has not come back counts as dead
HANDLER_FIRST_RETRY, HANDLER_LAST_RETRY = 15.0, 3600.0


class Status(StrEnum):
    """The statuses that the guide names. The Partner API may report others; they are shown as they are."""

    STARTED = "started"
    PHONE_CODE_SENT = "phone_code_sent"
    PHONE_VERIFIED = "phone_verified"
    FORM_COMPLETED = "form_completed"
    FB_STARTED = "fb_started"
    COMPLETED = "completed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What ChatArchitect hands out for a registered number. `repr` hides the secret."""

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
        """Tell whether both say the same. The time does not count: a retry may carry another."""
        return self._content() == other._content()

    def _content(self) -> tuple[str | None, ...]:
        return (self.app_id, self.app_secret, self.phone, self.integration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One user's registration, without its secrets. Times are UTC; None where nobody said.

    `user_id` is the host's own; `status` is a `Status` or a newer word of the Partner API.
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
    """A session that the Partner API has opened; `iframe_url` is safe to send to the browser."""

    registration_id: str
    iframe_url: str
    expires_at: datetime
    status: str


class Echo(NamedTuple):
    """What a webhook returns unchanged from the session's creation. `repr` hides the state."""

    user_id: str | None
    partner_state: str | None

    def __repr__(self) -> str:
        """Show whom it is about."""
        return f"Echo(user_id={self.user_id!r}, partner_state=<hidden>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """That a registration is completed, and with which credentials.

    signed_at: the webhook's X-CA-Timestamp; None if the result endpoint said it.
    echo: what the webhook returned; None if the result endpoint said it, which returns nothing.
    token_id: which partner token vouches for it.
    """

    registration_id: str
    credentials: Credentials
    signed_at: int | None
    echo: Echo | None
    token_id: str


@dataclass(frozen=True, slots=True)
class HandlerRun:
    """The debt of one handler run: due from `due_at` on, None once it is done."""

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
    """Everything that is known about one registration; what gets sealed and stored.

    token_id: the partner token that created the session, or vouched for an unknown one.
    generation: counts the credentials that were accepted.
    asked_at: when the Partner API was last asked.
    look_at: when an open session wants looking at; None once nothing more is to be expected.
    host_handlers: the handlers of the process that created the session.
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
        """Whether the credentials are here."""
        return self.credentials is not None


class Outcome(Enum):
    """What a completion amounts to. The value is the log's reason."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    OLDER = "older"
    MISMATCHED = "mismatched"


# --- beginning -----------------------------------------------------------------------------------


def begin(registration: Registration, token_id: str, known: State | None, handlers: tuple[str, ...]) -> State:
    """Begin a registration. If its completion arrived first, add the session's facts to it."""
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
    owed = known.handlers
    if known.completed and not owed:
        owed = _owed(handlers, registration.created_at.timestamp())
    return replace(known, registration=merged, token_id=token_id, host_handlers=handlers, handlers=owed)


def is_anothers(known: State, registration: Registration) -> bool:
    """Tell whether what is known under this id was begun for another user or state."""
    echo = Echo(known.registration.user_id, known.registration.partner_state)
    return not _echo_fits(registration, echo)


def _owed(handlers: Iterable[str], now: float) -> tuple[HandlerRun, ...]:
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
    """Decide what a completion changes. Returns the outcome and, if accepted, the state to store.

    `handlers` are this process's and owed a run each; if it has none, those of the process that created
    the session are. `claim`, if given, is this worker's right to run its own at once. A worker that is
    still busy with older credentials keeps its claim, and runs them for these too.
    """
    if known is not None:
        if completion.echo is not None and not _echo_fits(known.registration, completion.echo):
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
        handlers=_owed(handlers or base.host_handlers, now),
        claim=base.claim if busy else claim if handlers else None,
    )
    return Outcome.ACCEPTED, accepted


def _echo_fits(registration: Registration, echo: Echo) -> bool:
    created_with = (registration.user_id or "", registration.partner_state or "")
    return created_with == (echo.user_id or "", echo.partner_state or "")


def _rank(credentials: Credentials, signed_at: int | None) -> tuple[float, int]:
    return (credentials.completed_at.timestamp(), -1 if signed_at is None else signed_at)


def _unknown_session(completion: Completion, now: float) -> Registration:
    """A session that this storage has not seen being created; the signature vouches for its user."""
    echo = completion.echo or Echo(None, None)
    return Registration(
        registration_id=completion.registration_id,
        status=Status.STARTED.value,
        user_id=echo.user_id or None,
        partner_state=echo.partner_state or None,
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
    """Tell whether the Partner API may be asked now: the session is open, and nobody asked just before."""
    if state.completed or state.look_at is None:
        return False
    return state.asked_at is None or now >= state.asked_at + every


def asking(state: State, now: float) -> State:
    """Note that somebody asks now, so that no other worker does at the same time."""
    return replace(state, asked_at=now)


def answered(state: State, status: str, now: float) -> State:
    """Note the status that the Partner API reported for a registration that is not completed."""
    if state.completed:
        return state
    look_at = None if status == Status.EXPIRED else state.look_at
    known = replace(state.registration, status=status)
    return expire(replace(state, registration=known, look_at=look_at), now)


def unanswered(state: State, now: float) -> State:
    """Note that the Partner API had no answer about this registration: others that are due go first now."""
    if state.completed or state.look_at is None:
        return state
    return expire(replace(state, look_at=max(now + RECONCILE_EVERY, state.look_at)), now)


def expire(state: State, now: float) -> State:
    """Mark an open session as expired once its time is over; stop looking when the grace is over too."""
    expires_at = state.registration.expires_at
    if state.completed or expires_at is None or now < expires_at.timestamp():
        return state
    look_at = state.look_at if now < expires_at.timestamp() + EXPIRY_GRACE else None
    expired = replace(state.registration, status=Status.EXPIRED.value)
    return replace(state, registration=expired, look_at=look_at)


# --- handlers ------------------------------------------------------------------------------------


def runnable(state: State, worker: str, names: Iterable[str], now: float) -> tuple[str, ...]:
    """Name the handlers among `names` that are due and that no other living worker has claimed."""
    if state.claim is not None and state.claim.worker != worker and now < state.claim.lease_ends:
        return ()
    here = set(names)
    return tuple(run.name for run in state.handlers if run.name in here and _is_due(run, now))


def claimed(state: State, worker: str, now: float) -> State:
    """Give the worker the right to run the handlers, or renew it."""
    return replace(state, claim=Claim(worker, now + HANDLER_LEASE))


def lapsed(state: State, now: float) -> bool:
    """Tell whether nobody has the right to run the handlers any more."""
    return state.claim is None or now >= state.claim.lease_ends


def handled(state: State, name: str, generation: int, now: float, *, done: bool) -> State:
    """Note one handler as done, or as failed and due later; credentials replaced meanwhile stay owed."""
    if state.generation != generation:
        return state
    runs = tuple(_noted(run, now, done) if run.name == name else run for run in state.handlers)
    return replace(state, handlers=runs)


def released(state: State, worker: str) -> State:
    """Give the claim back, if it is still the worker's."""
    if state.claim is None or state.claim.worker != worker:
        return state
    return replace(state, claim=None)


def _noted(run: HandlerRun, now: float, done: bool) -> HandlerRun:
    wait = min(HANDLER_FIRST_RETRY * 2.0 ** min(run.attempts, 16), HANDLER_LAST_RETRY)
    return HandlerRun(run.name, due_at=None if done else now + wait, attempts=run.attempts + 1)


def _is_due(run: HandlerRun, now: float) -> bool:
    return run.due_at is not None and run.due_at <= now


# --- when to look again --------------------------------------------------------------------------


def due_at(state: State) -> float | None:
    """Say when somebody must look at the state again; None if nobody must."""
    if not state.completed:
        return state.look_at
    runs = [run.due_at for run in state.handlers if run.due_at is not None]
    if not runs:
        return None
    return max(min(runs), state.claim.lease_ends) if state.claim else min(runs)
