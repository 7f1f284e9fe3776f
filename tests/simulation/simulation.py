"""One simulation: so many steps from a seed, then everything heals, and what was promised must hold."""

from __future__ import annotations

from dataclasses import dataclass

from ca_embed._registration import State
from ca_embed.storage import SealedRecord
from tests.simulation.actions import ACTIONS, heal_storage, reconcile_at
from tests.simulation.chatarchitect import Visit
from tests.simulation.world import PromiseBroken, World, world

_PASSES = 1500  # at most, until everything is finished
_NAMES = list(ACTIONS)
_WEIGHTS = [weight for weight, _ in ACTIONS.values()]


@dataclass(frozen=True)
class Outcome:
    """What a simulation did. broken: the promise that was broken, or ""; trace: what led there."""

    seed: int
    steps: int
    checks: int
    hours: float
    requests: int
    broken: str = ""
    trace: tuple[str, ...] = ()


def simulate(seed: int, steps: int, *, trace: bool = False) -> Outcome:
    """Run one simulation. The same seed and steps make the same run."""
    with world(seed, trace=trace) as one:
        began, broken = one.scheduler.now, ""
        try:
            while one.steps < steps:
                for _ in range(one.random.choice([1, 1, 1, 2, 4])):  # several things at once, or one
                    act(one, one.random.choices(_NAMES, _WEIGHTS)[0])
                go_on(one)
            settle(one)
        except PromiseBroken as error:
            broken = str(error)
        requests = sum(one.counts[name] for name in ("webhook", "poll", "open session", "mismatched"))
        hours = (one.scheduler.now - began) / 3600
        return Outcome(seed, one.steps, one.audit.checks, hours, requests, broken, tuple(one.trace))


def act(one: World, name: str) -> None:
    """Let one thing happen. What it starts goes on later."""
    one.steps += 1
    one.say(f"--- {name.replace('_', ' ')}")
    ACTIONS[name][1](one)
    one.require_unbroken()


def go_on(one: World) -> None:
    """Let the tasks go on a little."""
    one.go(one.random.choice([0, 2, 10, 40, 100]), until=one.scheduler.now + 5)


def settle(one: World) -> None:
    """End all faults, make passes until nothing is due, and check what must hold in the end."""
    one.say("--- settle")
    heal_storage(one, promote=False)
    one.api.mode, one.failing, one.slow_handlers = "up", set(), False
    for host in one.alive:
        host.offset = 0.0
        host.connection.crash_after = None
    one.audit.disturb("clock")
    one.audit.disturb("partner")
    one.go(100_000)
    one.deploying = set()
    for place, host in enumerate(one.hosts):
        if host is not None:
            one.crash(host)
        one.start(place)
    _reconcile_until_done(one)
    _require_finished(one)
    one.require_unbroken()


def _reconcile_until_done(one: World) -> None:
    """Make passes until nothing is due; jump over the time in which nothing happens."""
    idle, before, pause = 0, -1, 30.0
    for _ in range(_PASSES):
        for host in one.alive:
            reconcile_at(one, host)
        one.go(100_000)
        kept = [record for record in one.server.records() if not _is_tombstone(one, record)]
        due = [record.due_at % 1e11 for record in kept if record.due_at is not None and record.due_at < 1e11]
        idle += not due
        if idle > 2:
            return
        written = sum(record.version for record in kept if "~" not in record.registration_id)
        pause = min(pause * 2, 3600) if written == before else 240.0
        before = written
        one.scheduler.now = max(one.scheduler.now + pause, min(due, default=0.0))
    one.audit.fail(f"something stays due for ever: {due}")


def _is_tombstone(one: World, record: SealedRecord) -> bool:
    return "~" not in record.registration_id and one.audit.state_of(record).erased


def _require_finished(one: World) -> None:
    audit, (host, *_) = one.audit, one.alive
    for registration_id, visit in one.api.visits.items():
        record = one.server.visible.load(registration_id)
        state = None if record is None else audit.state_of(record)
        audit.require_kept(registration_id)
        if registration_id in audit.forgotten:
            recent = one.scheduler.now - audit.forgotten[registration_id] < 5 * 86400
            gone = state is None or state.erased
            audit.require(not recent or gone, f"{registration_id}: it was erased, and is back")
        if registration_id not in audit.gone:
            _require_found(one, visit, state)
    for user in {visit.user_id for visit in one.api.visits.values()}:
        theirs = host.embed.registrations(user)
        audit.require(all(each.user_id == user for each in theirs), f"{user} sees another's registration")


def _require_found(one: World, visit: Visit, state: State | None) -> None:
    audit, registration_id = one.audit, visit.registration_id
    promised = registration_id in audit.stored_for
    if state is None:
        audit.require(not promised, f"{registration_id}: a session that was answered is lost")
        return
    audit.require(state.registration.user_id == visit.user_id, f"{registration_id}: it went to another user")
    if promised and visit.completed:
        audit.require(state.completed, f"{registration_id}: it was completed, and this was never found out")
    if state.credentials is not None:
        _require_handled(one, registration_id, state.credentials.app_secret, set(one.config.handlers))


def _require_handled(one: World, registration_id: str, secret: str, known: set[str]) -> None:
    audit = one.audit
    owed = audit.owing.get((registration_id, secret), frozenset()) | audit.creators.get(
        registration_id, frozenset()
    )
    done = {
        run.name
        for run in audit.runs
        if run.registration_id == registration_id and run.secret == secret and run.succeeded
    }
    registration = one.alive[0].embed.registration(registration_id)
    parked = {run.name for run in registration.handlers if run.state == "parked"} if registration else set()
    missing = (owed & known) - done - parked
    audit.require(not missing, f"{registration_id}: {sorted(missing)} never ran for the final credentials")
