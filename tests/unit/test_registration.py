"""Which change of a registration may follow which, as tables of cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from ca_embed._registration import (
    ANSWERS_AFTER_EXPIRY,
    ASK_EVERY,
    FIRST_PAUSE,
    HANDLER_BAND,
    HANDLER_FIRST_RETRY,
    HANDLER_LAST_RETRY,
    HANDLER_LEASE,
    LAST_PAUSE,
    LOST_AFTER,
    PARK_AFTER,
    PARKED_BAND,
    SEARCH_AFTER_EXPIRY,
    TOMBSTONE_LIFE,
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
    as_of,
    asking,
    begin,
    claim_ended,
    claimed,
    complete,
    counts_as_expired,
    due_at,
    erased,
    handled,
    may_ask,
    may_remove,
    must_ask,
    put_off,
    rejected,
    released,
    replayed,
    runnable,
    shown,
    unreachable,
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
URL = "https://registration.example/?s=abc"
OPEN = begin(REGISTRATION, "token1", URL, None, ())
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
    state = begin(REGISTRATION, "token1", URL, early, ())
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
    session_first = completed(begin(registration, "token1", URL, None, ()), webhook)
    webhook_first = begin(registration, "token1", URL, completed(None, webhook), ())
    assert session_first.registration == webhook_first.registration


def test_a_session_that_is_stored_twice_stays_open() -> None:
    """Storing a session again changes nothing, and no handler becomes due."""
    once = begin(REGISTRATION, "token1", URL, None, ("one",))
    assert begin(REGISTRATION, "token1", URL, once, ("one",)) == once


def test_a_session_brings_its_handlers_to_an_early_completion() -> None:
    """If the webhook's process has no handlers, those of the session's process become due."""
    state = begin(REGISTRATION, "token1", URL, completed(None), ("one", "two"))
    assert runnable(state, "me", ("one", "two"), NOW) == ("one", "two")
    assert handlers_due_at(state) == NOW


def test_a_session_brings_its_handlers_to_later_credentials() -> None:
    """The handlers of the session's process also become due for credentials that come after that."""
    early = begin(REGISTRATION, "token1", URL, completed(None, handlers=("one",)), ("one", "two"))
    assert completed(early, NEWER).handlers == (HandlerRun("one", NOW), HandlerRun("two", NOW))


def test_handlers_that_ran_early_do_not_run_again() -> None:
    """If the webhook's process has already run its handlers, the session does not make them due again."""
    early = ran(completed(None, handlers=("one",)), "one", NOW, done=True)
    assert due_at(begin(REGISTRATION, "token1", URL, early, ("one",))) is None


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
    late = as_of(OPEN, NOW + 7200)
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
    for known in (OPEN, completed(), as_of(OPEN, NOW + 7200)):
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


def asked(state: State, now: float, *, by_page: bool = False) -> State:
    """Ask, without jitter."""
    return asking(state, now, by_page=by_page, jitter=0)


def test_one_page_asks_at_a_time() -> None:
    """After one request of a page has asked, no other may ask for 3 seconds."""
    assert may_ask(OPEN, NOW)
    after = asked(OPEN, NOW, by_page=True)
    assert not may_ask(after, NOW)
    assert not may_ask(after, NOW + ASK_EVERY - 0.01)
    assert may_ask(after, NOW + ASK_EVERY)


def test_a_question_in_the_future_holds_back_no_one() -> None:
    """A time that a clock ahead has written does not count."""
    ahead = asked(OPEN, NOW + 7200, by_page=True)
    assert may_ask(ahead, NOW)
    assert must_ask(ahead, NOW)


def test_a_pass_asks_when_it_is_due_and_once() -> None:
    """A session is asked about when it is due. Asking itself moves the time, so overlapping passes do not."""
    assert not must_ask(OPEN, NOW + LOST_AFTER - 0.1)
    assert must_ask(OPEN, NOW + LOST_AFTER)
    assert not must_ask(asked(OPEN, NOW + LOST_AFTER), NOW + LOST_AFTER)


def test_questions_become_rarer() -> None:
    """While nothing happens the pause doubles, from 5 seconds to 15 minutes."""
    state, times = OPEN, [NOW + LOST_AFTER]
    for _ in range(12):
        assert must_ask(state, times[-1])
        state = answered(asked(state, times[-1]), "started", times[-1])
        times.append(due_at(state) or 0.0)
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:5] == [5, 10, 20, 40, 80]
    assert pauses[-1] == LAST_PAUSE == max(pauses)
    assert sum(time < NOW + 3600 for time in times) <= 12


def test_jitter_shortens_a_pause_by_a_fifth_at_most() -> None:
    """Sessions that were created together do not stay together."""
    assert due_at(asking(OPEN, NOW + 100, by_page=False, jitter=1)) == NOW + 180
    assert due_at(asking(OPEN, NOW + 100, by_page=False, jitter=0.5)) == NOW + 190


def test_a_session_of_a_host_whose_clock_is_ahead_is_asked_about_ever_more_rarely() -> None:
    """The pauses grow also if the session was created in the future."""
    created_at = OPEN.registration.created_at + timedelta(days=1)
    state = replace(OPEN, registration=replace(OPEN.registration, created_at=created_at))
    now, pauses = NOW, list[float]()
    for _ in range(12):
        state = answered(asked(state, now), "started", now)
        pauses.append((due_at(state) or 0.0) - now)
        now += pauses[-1]
    assert pauses[1:6] == [10, 20, 40, 80, 160]
    assert pauses[-1] == LAST_PAUSE == max(pauses)


def test_an_open_page_and_a_new_status_bring_it_back() -> None:
    """The pause is short again after the page has asked, and after the status has changed."""
    assert due_at(asked(OPEN, NOW + 1000)) == NOW + 1900
    assert due_at(asked(OPEN, NOW + 1000, by_page=True)) == NOW + 1000 + FIRST_PAUSE
    moved = answered(asked(OPEN, NOW + 1000), "phone_verified", NOW + 1001)
    assert due_at(moved) == NOW + 1001 + FIRST_PAUSE


def test_the_partner_api_is_not_asked_about_what_is_decided() -> None:
    """The Partner API is not asked about a registration that is completed, expired by its word, or erased."""
    for state in (completed(), answered(OPEN, "expired", NOW), erased(OPEN, NOW)):
        assert not may_ask(state, NOW + 100)
        assert not must_ask(state, NOW + 100)
    assert may_ask(OPEN, NOW + 3600)  # over by the clock alone


@pytest.mark.parametrize("status", ["phone_verified", "fb_started", "a_newer_word"])
def test_a_status_is_shown(status: str) -> None:
    """The status that the Partner API reports is shown as it is, and the session stays due."""
    state = answered(OPEN, status, NOW + 10)
    assert state.registration.status == status
    assert due_at(state) == NOW + 10 + FIRST_PAUSE


def test_the_partners_word_ends_the_search() -> None:
    """Once the Partner API itself says expired, it is not asked again."""
    state = answered(OPEN, "expired", NOW + 10)
    assert state.registration.status == Status.EXPIRED
    assert due_at(state) is None


def test_answers_after_the_expiry_end_the_search() -> None:
    """Enough answers after the expiry end the search, also without a final word. The clock alone does not."""
    state, now = OPEN, NOW + 3600
    for count in range(1, ANSWERS_AFTER_EXPIRY + 1):
        assert due_at(state) is not None
        now += LAST_PAUSE
        state = rejected(asked(state, now), now) if count % 2 else answered(asked(state, now), "started", now)
        assert state.inconclusive == count
    assert due_at(state) is None


def test_a_clock_that_is_ahead_ends_no_search() -> None:
    """Answers that count only by a clock that is ahead are forgotten by the next right clock."""
    state = OPEN
    for _ in range(ANSWERS_AFTER_EXPIRY - 1):
        state = rejected(asked(state, NOW + 90_000), NOW + 90_000)
    state = rejected(asked(state, NOW + 10), NOW + 10)
    assert state.inconclusive == 0
    assert due_at(state) == NOW + 20


def test_a_partner_api_that_is_down_ends_no_search() -> None:
    """Without an answer nothing is known, so the session is asked about soon again, for a week."""
    state = OPEN
    for _ in range(100):
        state = unreachable(asked(state, NOW + 4000), NOW + 4000)
    assert due_at(state) == NOW + 4000 + FIRST_PAUSE


@pytest.mark.parametrize("fails", [unreachable, rejected])
def test_one_failure_after_a_week_ends_no_search(fails: Callable[[State, float], State]) -> None:
    """After a week without passes the search ends only when enough questions have brought nothing."""
    state, late = OPEN, NOW + 3600 + SEARCH_AFTER_EXPIRY
    for _ in range(ANSWERS_AFTER_EXPIRY):
        assert must_ask(state, late)
        state = fails(asked(state, late), late)
        late += LAST_PAUSE
    assert due_at(state) is None


def test_a_completed_registration_stays_completed() -> None:
    """No answer, refusal or time changes a completed registration."""
    state = completed()
    assert answered(state, "started", NOW) is state
    assert answered(state, "expired", NOW) is state
    assert unreachable(state, NOW) is state
    assert rejected(state, NOW) is state
    assert as_of(state, NOW + 1e9) is state


@pytest.mark.parametrize(("age", "status"), [(0, "started"), (3599.9, "started"), (3600, "expired")])
def test_expiry(age: float, status: str) -> None:
    """An open session shows as expired when its time is over, and stays due."""
    state = as_of(OPEN, NOW + age)
    assert state.registration.status == status
    assert due_at(state) == due_at(OPEN)
    assert counts_as_expired(OPEN, NOW + age) is (status == "expired")


def test_a_session_without_an_end_does_not_expire() -> None:
    """A session without an expiry time does not expire."""
    endless = replace(OPEN, registration=replace(REGISTRATION, expires_at=None))
    assert as_of(endless, NOW + 1e9) is endless


# --- erasing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [OPEN, completed()])
def test_a_tombstone_has_nothing_of_the_user(state: State) -> None:
    """What is erased leaves its id and times."""
    tombstone = erased(state, NOW)
    assert "user_456" not in repr(tombstone)
    assert "opaque" not in repr(tombstone.registration.partner_state)
    assert tombstone.credentials is None
    assert tombstone.handlers == ()


@pytest.mark.parametrize("completion", [WEBHOOK, RESULT])
def test_nothing_brings_it_back(completion: Completion) -> None:
    """Whatever is delivered or answered later about an erased registration is a duplicate."""
    tombstone = erased(completed(), NOW)
    assert completing(tombstone, completion) == (Outcome.DUPLICATE, None)
    assert answered(tombstone, "started", NOW) is tombstone
    assert begin(REGISTRATION, "token1", URL, tombstone, ("one",)) is tombstone


def test_a_tombstone_outlasts_a_wrong_clock() -> None:
    """It stays a week after the session's end, and is looked at once an hour: no time is far away."""
    tombstone = erased(OPEN, NOW)
    assert due_at(tombstone) == NOW + 3600
    assert not may_remove(tombstone, NOW + 3600 + TOMBSTONE_LIFE - 1)
    assert may_remove(tombstone, NOW + 3600 + TOMBSTONE_LIFE)


# --- handlers --------------------------------------------------------------------------------------


def handlers_due_at(state: State) -> float | None:
    """Return when handlers are due, in Unix seconds. It is an error if something else is due."""
    due = due_at(state)
    assert due is None or due < 0 or due >= PARKED_BAND
    return due - HANDLER_BAND if due is not None and due < 0 else due


def ran(state: State, name: str, now: float, *, done: bool, during: State | None = None) -> State:
    """End a run of a handler, which began with that state."""
    return handled(state, during or state, name, now, error=None if done else "ValueError at crm.py:7")


MINE, THEIRS = Claim("me", NOW + HANDLER_LEASE), Claim("them", NOW + HANDLER_LEASE)


def test_accepted_credentials_owe_each_handler_a_run() -> None:
    """The worker that stores the credentials holds the claim, and each handler is due at once."""
    state = completed(handlers=("one", "two"), claim=MINE)
    assert state.claim == MINE
    assert runnable(state, "me", ("one", "two"), NOW) == ("one", "two")
    assert runnable(state, "them", ("one", "two"), NOW) == ()
    assert handlers_due_at(state) == NOW + HANDLER_LEASE


def test_without_a_claim_they_are_due_at_once() -> None:
    """If the handlers do not run in the request, reconcile() finds them."""
    state = completed(handlers=("one",))
    assert state.claim is None
    assert handlers_due_at(state) == NOW
    assert runnable(state, "a worker", ("one",), NOW) == ("one",)
    assert runnable(state, "a worker", ("one",), NOW - 1) == ()


def test_no_handlers_no_claim() -> None:
    """Without a handler to run, nothing is claimed."""
    assert completed(claim=MINE).claim is None


def test_handlers_of_the_sessions_process_are_owed() -> None:
    """If this process has no handlers, those of the session's process become due, without a claim."""
    state = completed(begin(REGISTRATION, "token1", URL, None, ("one",)), claim=MINE)
    assert state.handlers == (HandlerRun("one", NOW),)
    assert state.claim is None


def test_only_handlers_that_are_here_run() -> None:
    """A process runs the handlers that it knows. Others stay due."""
    state = completed(handlers=("one", "two"))
    assert runnable(state, "me", ("two", "three"), NOW) == ("two",)
    done = ran(state, "two", NOW, done=True)
    assert runnable(done, "me", ("two",), NOW) == ()
    assert handlers_due_at(done) == NOW


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
    state = ran(completed(handlers=("one", "two")), "one", NOW, done=True)
    assert runnable(state, "me", ("one", "two"), NOW) == ("two",)
    assert handlers_due_at(state) == NOW
    assert handlers_due_at(ran(state, "two", NOW, done=True)) is None


def test_a_failed_handler_is_due_again_with_back_off() -> None:
    """A handler that fails is due after 15 seconds, then after twice the time before, an hour at most."""
    state, now, waits = completed(handlers=("one",)), NOW, []
    for _ in range(30):
        state = ran(state, "one", now, done=False)
        again = handlers_due_at(state)
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
    state = ran(completed(handlers=("one",), claim=THEIRS), "one", NOW, done=False)
    assert handlers_due_at(state) == NOW + HANDLER_LEASE
    assert handlers_due_at(released(state, "them")) == NOW + HANDLER_FIRST_RETRY


def test_replaced_credentials_are_owed_again() -> None:
    """For newer credentials each handler is due again, also if it was done or had failed."""
    state = ran(completed(handlers=("one", "two")), "one", NOW, done=True)
    state = ran(state, "two", NOW, done=False)
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
    noted = ran(replaced, "one", NOW + 2, done=True, during=busy)
    assert noted is replaced
    assert runnable(noted, "them", ("one",), NOW + 2) == ("one",)
    assert handlers_due_at(ran(noted, "one", NOW + 3, done=True)) is None


def test_a_dead_worker_does_not() -> None:
    """Once the lease is over, the worker that stores newer credentials takes the claim."""
    busy = completed(handlers=("one",), claim=Claim("them", NOW + 1))
    assert completed(busy, NEWER, now=NOW + 0.9, handlers=("one",), claim=MINE).claim == Claim(
        "them", NOW + 1
    )
    assert completed(busy, NEWER, now=NOW + 1, handlers=("one",), claim=MINE).claim == MINE


def test_handlers_of_both_processes_are_due() -> None:
    """The accepting process and the one that created the session may be of different releases."""
    state = completed(begin(REGISTRATION, "token1", URL, None, ("new", "both")), handlers=("both", "old"))
    assert [run.name for run in state.handlers] == ["new", "both", "old"]


def test_a_handler_that_fails_for_a_day_is_parked() -> None:
    """It is due no more, but found in a band of its own; its state, error and attempts are shown."""
    state = ran(completed(handlers=("one",)), "one", NOW, done=False)
    state = ran(state, "one", NOW + PARK_AFTER, done=False)
    assert due_at(state) == PARKED_BAND + NOW + PARK_AFTER
    assert runnable(state, "me", ("one",), NOW + 2 * PARK_AFTER) == ()
    (handler,) = shown(state).handlers
    assert (handler.state, handler.attempts, handler.next_at) == ("parked", 2, None)
    assert handler.last_error == "ValueError at crm.py:7"


def test_what_owes_handlers_is_due_before_all_sessions() -> None:
    """The bands of `due_at` keep what owes handlers before sessions, and sessions before what is parked."""
    owing = ran(completed(handlers=("one",)), "one", NOW + 1e9, done=False)
    parked = ran(owing, "one", NOW + 1e9 + PARK_AFTER, done=False)
    times = [due_at(owing), due_at(asking(OPEN, 0.0, by_page=True, jitter=0)), due_at(OPEN), due_at(parked)]
    assert times == sorted(times, key=lambda time: time or 0.0)
    one_is_left = replayed(parked, "two", (), NOW)
    assert handlers_due_at(one_is_left) == NOW


def test_a_success_ends_a_row_of_failures() -> None:
    """Failures are counted in a row: a day with a success in it parks nothing."""
    state = ran(completed(handlers=("one",)), "one", NOW, done=False)
    state = replayed(ran(state, "one", NOW + 60, done=True), "one", (), NOW + PARK_AFTER)
    assert not ran(state, "one", NOW + PARK_AFTER, done=False).handlers[0].parked


def test_replay() -> None:
    """A replay makes one or all runs due again, also done and parked ones and those of new handlers."""
    state = ran(completed(handlers=("one", "two")), "one", NOW, done=True)
    assert runnable(replayed(state, "one", (), NOW + 9), "me", ("one",), NOW + 9) == ("one",)
    names = ("one", "two", "three")
    assert runnable(replayed(state, None, names, NOW + 9), "me", names, NOW + 9) == names
    assert runnable(replayed(state, "three", (), NOW + 9), "me", names, NOW + 9) == ("two", "three")


def test_a_run_from_before_the_replay_does_not_end_it() -> None:
    """A worker that ran while the operator replayed notes the end of its own run, not of the new one."""
    before = completed(handlers=("one",))
    again = replayed(before, "one", (), NOW + 1)
    noted = ran(again, "one", NOW + 2, done=True, during=before)
    assert runnable(noted, "me", ("one",), NOW + 2) == ("one",)


def test_a_handler_that_no_process_knows_waits_and_is_parked() -> None:
    """It costs no work in each pass: it is due ever more rarely, and after a day it is parked."""
    state, now, pauses = completed(handlers=("gone", "here")), NOW, []
    state = ran(state, "here", NOW, done=True)
    while not state.handlers[0].parked:
        state = put_off(state, ("here",), now)
        again = handlers_due_at(state)
        assert again is not None
        pauses.append(again - now)
        now = again
    assert pauses[0] == 60
    assert max(pauses[:-1]) == 900
    assert NOW + PARK_AFTER <= state.handlers[0].due_at - PARKED_BAND <= NOW + PARK_AFTER + 900  # type: ignore[operator]


def test_a_claim_from_a_clock_that_is_ahead_counts_for_nothing() -> None:
    """A lease that ends later than a lease lasts holds back no other worker."""
    state = claimed(completed(handlers=("one",)), "ahead", NOW + 7200)
    assert claim_ended(state, NOW)
    assert runnable(state, "me", ("one",), NOW) == ("one",)
