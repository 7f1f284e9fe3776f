"""Which change of a registration may follow which, as tables of cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ca_embed._registration import (
    EXPIRY_GRACE,
    HANDLER_FIRST_RETRY,
    HANDLER_LAST_RETRY,
    HANDLER_LEASE,
    LOST_AFTER,
    RECONCILE_EVERY,
    Claim,
    Completion,
    Credentials,
    HandlerRun,
    Outcome,
    PartnerFields,
    Registration,
    State,
    Status,
    answered,
    asking,
    begin,
    claim_ended,
    claimed,
    complete,
    due_at,
    expire,
    handled,
    may_ask,
    released,
    runnable,
    unanswered,
)

NOW = 1_783_159_200.0
TEN = datetime(2026, 7, 4, 10, tzinfo=UTC)
EXPIRES = datetime.fromtimestamp(NOW + 3600, UTC)

REGISTRATION = Registration(
    registration_id="r1",
    status=Status.STARTED,
    user_id="user_456",
    partner_state="opaque",
    integration="My CRM",
    lang="en",
    parent_origin="https://crm.example",
    created_at=datetime.fromtimestamp(NOW, UTC),
    expires_at=EXPIRES,
)
OPEN = begin(REGISTRATION, "token1", None, ())
CREDENTIALS = Credentials(
    app_id="ca_app_123", app_secret="fake-secret-value", phone="42", integration="My CRM", completed_at=TEN
)
WEBHOOK = Completion(
    registration_id="r1",
    credentials=CREDENTIALS,
    signed_at=1000,
    partner_fields=PartnerFields("user_456", "opaque"),
    token_id="token1",
)
RESULT = replace(WEBHOOK, signed_at=None, partner_fields=None)


def completing(
    known: State | None,
    completion: Completion = WEBHOOK,
    *,
    now: float = NOW,
    handlers: tuple[str, ...] = (),
    claim: Claim | None = None,
) -> tuple[Outcome, State | None]:
    """Complete a registration."""
    return complete(known, completion, now=now, handlers=handlers, claim=claim)


def completed(
    known: State | None = OPEN,
    completion: Completion = WEBHOOK,
    *,
    now: float = NOW,
    handlers: tuple[str, ...] = (),
    claim: Claim | None = None,
) -> State:
    """Complete a registration that accepts it."""
    outcome, state = complete(known, completion, now=now, handlers=handlers, claim=claim)
    assert outcome is Outcome.ACCEPTED
    assert state is not None
    return state


def with_credentials(completion: Completion, **changes: object) -> Completion:
    """Return a completion with changed credentials."""
    return replace(completion, credentials=replace(completion.credentials, **changes))  # type: ignore[arg-type]


# --- beginning -------------------------------------------------------------------------------------


def test_a_new_session_is_looked_at_soon() -> None:
    """A session is due after five seconds, because its webhook may have got lost."""
    assert OPEN.registration == REGISTRATION
    assert not OPEN.completed
    assert due_at(OPEN) == NOW + LOST_AFTER


def test_a_completion_may_be_faster_than_its_session() -> None:
    """If the completion came first, the session adds its fields to it, and nothing of it is lost."""
    early = completed(None, replace(WEBHOOK, token_id="token2"), now=NOW - 1)
    state = begin(REGISTRATION, "token1", early, ())
    assert state.registration == completed().registration
    assert state.credentials == CREDENTIALS
    assert state.generation == 1
    assert state.token_id == "token1"
    assert due_at(state) is None


@pytest.mark.parametrize("ordered", [None, "My CRM"])
def test_the_order_of_arrival_does_not_matter(ordered: str | None) -> None:
    """Session then webhook, or webhook then session: the registration is the same."""
    registration = replace(REGISTRATION, integration=ordered)
    webhook = with_credentials(WEBHOOK, integration="Partner")
    session_first = completed(begin(registration, "token1", None, ()), webhook)
    webhook_first = begin(registration, "token1", completed(None, webhook), ())
    assert session_first.registration == webhook_first.registration


def test_a_session_that_is_stored_twice_stays_open() -> None:
    """Storing a session again changes nothing, and no handler becomes due."""
    once = begin(REGISTRATION, "token1", None, ("one",))
    assert begin(REGISTRATION, "token1", once, ("one",)) == once


def test_a_session_brings_its_handlers_to_an_early_completion() -> None:
    """If the webhook's process has no handlers, those of the session's process become due."""
    state = begin(REGISTRATION, "token1", completed(None), ("one", "two"))
    assert runnable(state, "me", ("one", "two"), NOW) == ("one", "two")
    assert due_at(state) == NOW


def test_a_session_brings_its_handlers_to_later_credentials() -> None:
    """The handlers of the session's process also become due for credentials that come after that."""
    early = begin(REGISTRATION, "token1", completed(None, handlers=("one",)), ("one", "two"))
    assert completed(early, NEWER).handlers == (HandlerRun("one", NOW), HandlerRun("two", NOW))


def test_handlers_that_ran_early_do_not_run_again() -> None:
    """If the webhook's process has already run its handlers, the session does not make them due again."""
    ran = handled(completed(None, handlers=("one",)), "one", 1, NOW, done=True)
    assert due_at(begin(REGISTRATION, "token1", ran, ("one",))) is None


# --- completion ------------------------------------------------------------------------------------


def test_a_completion_is_accepted() -> None:
    """An open session becomes completed, with the phone number. It is not due any more."""
    state = completed()
    assert state.completed
    assert state.registration.status == "completed"
    assert state.registration.phone == "42"
    assert state.registration.completed_at == TEN
    assert state.generation == 1
    assert state.signed_at == 1000
    assert state.look_at is None
    assert due_at(state) is None
    assert state.registration.user_id == "user_456"


@pytest.mark.parametrize(
    ("delivered", "shown"), [("Partner", "Partner"), ("My CRM", "My CRM"), (None, "My CRM"), ("", "My CRM")]
)
def test_the_delivered_integration_is_shown(delivered: str | None, shown: str) -> None:
    """The integration is the one that was delivered, or else the one of the session."""
    state = completed(OPEN, with_credentials(WEBHOOK, integration=delivered))
    assert state.registration.integration == shown


def test_a_late_completion_counts() -> None:
    """A completion after expiry is accepted."""
    late = expire(OPEN, NOW + 7200)
    assert late.registration.status == Status.EXPIRED
    assert completed(late).registration.status == Status.COMPLETED


def test_an_unknown_session_is_never_lost() -> None:
    """A completion of a session that was not created here is stored for the user it names."""
    state = completed(None)
    assert state.registration.user_id == "user_456"
    assert state.registration.partner_state == "opaque"
    assert state.registration.created_at == datetime.fromtimestamp(NOW, UTC)
    assert state.token_id == "token1"
    assert (
        completed(None, replace(WEBHOOK, partner_fields=PartnerFields("", ""))).registration.user_id is None
    )
    assert completed(None, RESULT).registration.user_id is None


@pytest.mark.parametrize(
    "again",
    [
        WEBHOOK,
        RESULT,
        replace(WEBHOOK, signed_at=2000),
        replace(WEBHOOK, signed_at=1),
        replace(WEBHOOK, token_id="token2"),
        with_credentials(WEBHOOK, completed_at=TEN + timedelta(days=1)),
        with_credentials(WEBHOOK, completed_at=TEN - timedelta(days=1)),
    ],
)
def test_the_same_credentials_are_a_duplicate(again: Completion) -> None:
    """The same credentials change nothing, from any source and with any signed time."""
    assert completing(completed(), again) == (Outcome.DUPLICATE, None)


@pytest.mark.parametrize(
    "changes", [{"app_id": "other"}, {"app_secret": "other"}, {"phone": "43"}, {"integration": None}]
)
def test_each_of_the_credentials_counts(changes: dict[str, object]) -> None:
    """If any one of the credentials differs in a newer delivery, it replaces all of them."""
    newer = replace(with_credentials(WEBHOOK, **changes), signed_at=1001)
    state = completed(completed(), newer)
    assert state.credentials == newer.credentials
    assert state.generation == 2


ELSEWHERE = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("known", "other", "expected"),
    [  # (completed_at, signed_at) of the stored credentials, and of other ones
        ((TEN, 1000), (TEN + timedelta(seconds=1), 1), Outcome.ACCEPTED),
        ((TEN, 1000), (TEN + timedelta(microseconds=1), 1), Outcome.ACCEPTED),
        ((TEN, 1000), (TEN - timedelta(microseconds=1), 9999), Outcome.OLDER),
        ((TEN, 1000), (TEN - timedelta(days=1), 9999), Outcome.OLDER),
        ((TEN, 1000), (TEN, 1001), Outcome.ACCEPTED),
        ((TEN, 1000), (TEN, 1000), Outcome.OLDER),
        ((TEN, 1000), (TEN, 999), Outcome.OLDER),
        ((TEN, 1000), (TEN.astimezone(ELSEWHERE), 1000), Outcome.OLDER),
        ((TEN, 1000), (datetime(2026, 7, 4, 11, 59, tzinfo=ELSEWHERE), 9999), Outcome.OLDER),
        ((TEN, 1000), (datetime(2026, 7, 4, 12, 1, tzinfo=ELSEWHERE), 1), Outcome.ACCEPTED),
        ((TEN, None), (TEN, None), Outcome.OLDER),
        ((TEN, None), (TEN, 0), Outcome.ACCEPTED),
        ((TEN, 0), (TEN, None), Outcome.OLDER),
        ((TEN, 1000), (TEN + timedelta(seconds=1), None), Outcome.ACCEPTED),
    ],
)
def test_newer_replaces_older(
    known: tuple[datetime, int | None], other: tuple[datetime, int | None], expected: Outcome
) -> None:
    """Newer credentials replace the stored ones: by completed_at as an instant, then by the timestamp."""
    first = replace(with_credentials(WEBHOOK, completed_at=known[0]), signed_at=known[1])
    second = replace(
        with_credentials(WEBHOOK, completed_at=other[0], app_secret="other-fake-secret"), signed_at=other[1]
    )
    outcome, state = completing(completed(OPEN, first), second)
    assert outcome is expected
    assert (state is not None) == (expected is Outcome.ACCEPTED)


@pytest.mark.parametrize(
    ("echo", "fits"),
    [
        (PartnerFields("user_456", "opaque"), True),
        (PartnerFields("user_457", "opaque"), False),
        (PartnerFields("user_456", "other"), False),
        (PartnerFields("user_456", None), False),
        (PartnerFields(None, "opaque"), False),
        (PartnerFields("", ""), False),
        (PartnerFields("USER_456", "opaque"), False),
        (PartnerFields("opaque", "user_456"), False),
        (None, True),
    ],
)
def test_a_delivery_must_fit_its_session(echo: PartnerFields | None, fits: bool) -> None:
    """A webhook for another user or state is refused, before and after completion, even if it is newer."""
    other = replace(with_credentials(WEBHOOK, app_id="other"), partner_fields=echo, signed_at=9999)
    expected = Outcome.ACCEPTED if fits else Outcome.MISMATCHED
    for known in (OPEN, completed(), expire(OPEN, NOW + 7200)):
        outcome, state = completing(known, other)
        assert outcome is expected
        assert (state is None) == (not fits)
    same = replace(WEBHOOK, partner_fields=echo)
    assert completing(completed(), same)[0] is (Outcome.DUPLICATE if fits else Outcome.MISMATCHED)


@pytest.mark.parametrize("user_id", [None, ""])
@pytest.mark.parametrize("echoed", [None, ""])
def test_absent_and_empty_are_the_same(user_id: str | None, echoed: str | None) -> None:
    """A session without user and state fits a webhook that returns null, nothing or empty texts."""
    bare = replace(OPEN, registration=replace(REGISTRATION, user_id=user_id, partner_state=user_id))
    assert (
        completing(bare, replace(WEBHOOK, partner_fields=PartnerFields(echoed, echoed)))[0]
        is Outcome.ACCEPTED
    )
    assert (
        completing(bare, replace(WEBHOOK, partner_fields=PartnerFields("someone", echoed)))[0]
        is Outcome.MISMATCHED
    )


def test_nothing_shows_the_secret() -> None:
    """No repr of anything that holds credentials shows the secret."""
    for thing in (CREDENTIALS, WEBHOOK, completed(handlers=("one",))):
        assert "fake-secret" not in repr(thing)
        assert "fake-secret" not in str(thing)
    assert "ca_app_123" in repr(CREDENTIALS)


# --- asking ----------------------------------------------------------------------------------------


def test_one_asks_at_a_time() -> None:
    """After one process has asked, no other may ask for some time. Then one may ask again."""
    assert may_ask(OPEN, NOW, every=3)
    asked = asking(OPEN, NOW)
    assert not may_ask(asked, NOW, every=3)
    assert not may_ask(asked, NOW + 2.99, every=3)
    assert may_ask(asked, NOW + 3, every=3)
    assert may_ask(asked, NOW + 0.5, every=0.5)


def test_the_partner_api_is_not_asked_about_what_is_decided() -> None:
    """The Partner API is not asked about a completed registration, or about one whose grace is over."""
    assert not may_ask(completed(), NOW + 100, every=3)
    assert not may_ask(expire(OPEN, NOW + 3600 + EXPIRY_GRACE), NOW + 9999, every=3)
    assert may_ask(expire(OPEN, NOW + 3600), NOW + 3600, every=3)


@pytest.mark.parametrize("status", ["phone_verified", "fb_started", "a_newer_word"])
def test_an_answer_is_shown(status: str) -> None:
    """The status that the Partner API reports is shown as it is, and the session stays due."""
    state = answered(OPEN, status, NOW + 10)
    assert state.registration.status == status
    assert due_at(state) == due_at(OPEN)


def test_an_answer_of_expiry_ends_the_looking() -> None:
    """Once the Partner API itself says expired, it is not asked again."""
    state = answered(OPEN, "expired", NOW + 10)
    assert state.registration.status == Status.EXPIRED
    assert due_at(state) is None


def test_an_answer_does_not_undo_expiry() -> None:
    """A status that comes after the session expired does not open it again."""
    assert answered(OPEN, "fb_started", NOW + 3600).registration.status == Status.EXPIRED


def test_a_completed_registration_stays_completed() -> None:
    """No answer, refusal or time changes a completed registration."""
    state = completed()
    assert answered(state, "started", NOW) is state
    assert answered(state, "expired", NOW) is state
    assert unanswered(state, NOW) is state
    assert expire(state, NOW + 1e9) is state


def test_others_go_first_after_no_answer() -> None:
    """Without an answer a registration stays due, after those that have waited longer."""
    assert due_at(unanswered(OPEN, NOW + 60)) == NOW + 60 + RECONCILE_EVERY
    assert due_at(unanswered(OPEN, NOW)) == due_at(OPEN)
    assert due_at(unanswered(OPEN, NOW + 3600)) == NOW + 3600 + RECONCILE_EVERY
    assert due_at(unanswered(OPEN, NOW + 3600 + EXPIRY_GRACE)) is None
    over = answered(OPEN, "expired", NOW)
    assert unanswered(over, NOW + 60) is over


@pytest.mark.parametrize(
    ("age", "status", "due"),
    [
        (0, "started", NOW + LOST_AFTER),
        (3599.9, "started", NOW + LOST_AFTER),
        (3600, "expired", NOW + LOST_AFTER),
        (3600 + EXPIRY_GRACE - 0.1, "expired", NOW + LOST_AFTER),
        (3600 + EXPIRY_GRACE, "expired", None),
    ],
)
def test_expiry(age: float, status: str, due: float | None) -> None:
    """An open session expires when its time is over. It stays due until the grace is over."""
    state = expire(OPEN, NOW + age)
    assert state.registration.status == status
    assert due_at(state) == due
    assert expire(state, NOW + age) == state


def test_a_session_without_an_end_does_not_expire() -> None:
    """A session without an expiry time does not expire."""
    endless = replace(OPEN, registration=replace(REGISTRATION, expires_at=None))
    assert expire(endless, NOW + 1e9) is endless


# --- handlers --------------------------------------------------------------------------------------


MINE, THEIRS = Claim("me", NOW + HANDLER_LEASE), Claim("them", NOW + HANDLER_LEASE)


def test_accepted_credentials_owe_each_handler_a_run() -> None:
    """The worker that stores the credentials holds the claim, and each handler is due at once."""
    state = completed(handlers=("one", "two"), claim=MINE)
    assert state.claim == MINE
    assert runnable(state, "me", ("one", "two"), NOW) == ("one", "two")
    assert runnable(state, "them", ("one", "two"), NOW) == ()
    assert due_at(state) == NOW + HANDLER_LEASE


def test_without_a_claim_they_are_due_at_once() -> None:
    """If the handlers do not run in the request, reconcile() finds them."""
    state = completed(handlers=("one",))
    assert state.claim is None
    assert due_at(state) == NOW
    assert runnable(state, "a worker", ("one",), NOW) == ("one",)
    assert runnable(state, "a worker", ("one",), NOW - 1) == ()


def test_no_handlers_no_claim() -> None:
    """Without a handler to run, nothing is claimed."""
    assert completed(claim=MINE).claim is None


def test_handlers_of_the_sessions_process_are_owed() -> None:
    """If this process has no handlers, those of the session's process become due, without a claim."""
    state = completed(begin(REGISTRATION, "token1", None, ("one",)), claim=MINE)
    assert state.handlers == (HandlerRun("one", NOW),)
    assert state.claim is None


def test_only_handlers_that_are_here_run() -> None:
    """A process runs the handlers that it knows. Others stay due."""
    state = completed(handlers=("one", "two"))
    assert runnable(state, "me", ("two", "three"), NOW) == ("two",)
    done = handled(state, "two", 1, NOW, done=True)
    assert runnable(done, "me", ("two",), NOW) == ()
    assert due_at(done) == NOW


def test_a_lease_ends() -> None:
    """A worker that stops loses its claim after the lease.

    If no other worker took the claim, it may go on.
    """
    state = claimed(completed(handlers=("one",)), "them", NOW)
    assert state.claim == THEIRS
    assert not claim_ended(state, NOW + HANDLER_LEASE - 0.1)
    assert runnable(state, "me", ("one",), NOW + HANDLER_LEASE - 0.1) == ()
    assert claim_ended(state, NOW + HANDLER_LEASE)
    assert runnable(state, "me", ("one",), NOW + HANDLER_LEASE) == ("one",)
    assert runnable(state, "them", ("one",), NOW + HANDLER_LEASE + 1) == ("one",)
    assert claim_ended(replace(state, claim=None), NOW)


def test_a_claim_is_given_back_by_its_worker_only() -> None:
    """Releasing someone else's claim changes nothing."""
    state = claimed(completed(handlers=("one",)), "them", NOW)
    assert released(state, "me") is state
    assert released(state, "them").claim is None
    free = replace(state, claim=None)
    assert released(free, "me") is free


def test_a_handler_that_is_done_is_not_due() -> None:
    """Once all handlers are done, the registration is not due any more."""
    state = handled(completed(handlers=("one", "two")), "one", 1, NOW, done=True)
    assert runnable(state, "me", ("one", "two"), NOW) == ("two",)
    assert due_at(state) == NOW
    assert due_at(handled(state, "two", 1, NOW, done=True)) is None


def test_a_failed_handler_is_due_again_with_back_off() -> None:
    """A handler that fails is due after 15 seconds, then after twice the time before, an hour at most."""
    state, now, waits = completed(handlers=("one",)), NOW, []
    for _ in range(30):
        state = handled(state, "one", 1, now, done=False)
        again = due_at(state)
        assert again is not None
        assert runnable(state, "me", ("one",), again - 0.1) == ()
        assert runnable(state, "me", ("one",), again) == ("one",)
        waits.append(again - now)
        now = again
    assert waits[:4] == [HANDLER_FIRST_RETRY, 30, 60, 120]
    assert waits[-1] == HANDLER_LAST_RETRY == max(waits)
    assert state.handlers[0].attempts == 30
    assert waits[0] <= 30


def test_a_failed_handler_is_due_when_the_claim_is_free() -> None:
    """A registration is due at the later of the handler's due time and the end of the lease."""
    state = handled(completed(handlers=("one",), claim=THEIRS), "one", 1, NOW, done=False)
    assert due_at(state) == NOW + HANDLER_LEASE
    assert due_at(released(state, "them")) == NOW + HANDLER_FIRST_RETRY


def test_replaced_credentials_are_owed_again() -> None:
    """For newer credentials each handler is due again, also if it was done or had failed."""
    state = handled(completed(handlers=("one", "two")), "one", 1, NOW, done=True)
    state = handled(state, "two", 1, NOW, done=False)
    newer = with_credentials(WEBHOOK, app_id="other", completed_at=TEN + timedelta(days=1))
    replaced = completed(state, newer, now=NOW + 5, handlers=("one", "two"))
    assert replaced.handlers == (HandlerRun("one", NOW + 5), HandlerRun("two", NOW + 5))


NEWER = with_credentials(WEBHOOK, app_id="other", completed_at=TEN + timedelta(days=1))


def test_a_busy_worker_keeps_its_claim() -> None:
    """If credentials are replaced while a worker runs the handlers, that worker keeps the claim."""
    busy = completed(handlers=("one",), claim=THEIRS)
    replaced = completed(busy, NEWER, now=NOW + 1, handlers=("one",), claim=MINE)
    assert replaced.claim == THEIRS
    assert runnable(replaced, "me", ("one",), NOW + 1) == ()
    noted = handled(replaced, "one", 1, NOW + 2, done=True)
    assert noted is replaced
    assert runnable(noted, "them", ("one",), NOW + 2) == ("one",)
    assert due_at(handled(noted, "one", 2, NOW + 3, done=True)) is None


def test_a_dead_worker_does_not() -> None:
    """Once the lease is over, the worker that stores newer credentials takes the claim."""
    busy = completed(handlers=("one",), claim=Claim("them", NOW + 1))
    assert completed(busy, NEWER, now=NOW + 0.9, handlers=("one",), claim=MINE).claim == Claim(
        "them", NOW + 1
    )
    assert completed(busy, NEWER, now=NOW + 1, handlers=("one",), claim=MINE).claim == MINE
