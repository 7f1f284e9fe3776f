"""What may happen in a world, each with how often. An action starts something; the scheduler ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from ca_embed import NotFound, PartnerError
from tests.simulation.audit import SKEW
from tests.simulation.chatarchitect import Delivery, Visit
from tests.simulation.world import KEYS, RELEASES, TOKENS, USERS, Host, World

Action = Callable[[World], None]
ACTIONS: dict[str, tuple[int, Action]] = {}

_DAY = 24 * 3600.0


def action(weight: int) -> Callable[[Action], Action]:
    """Add an action. weight: how often it is chosen, beside the others."""

    def add(function: Action) -> Action:
        ACTIONS[function.__name__] = (weight, function)
        return function

    return add


def _host(world: World) -> Host | None:
    return world.random.choice(world.alive) if world.alive else None


def _visit(world: World, *, completed: bool | None = None) -> Visit | None:
    visits = [one for one in world.api.visits.values() if completed in (None, one.completed)]
    if not visits:
        return None
    if world.random.random() < 0.1 or world.focus is None:
        world.focus = world.random.choice(visits[-5:] if world.random.random() < 0.5 else visits)
    # What meets is what breaks: most of what happens is about one registration.
    return (
        world.focus if world.focus in visits and world.random.random() < 0.6 else world.random.choice(visits)
    )


# --- users ---------------------------------------------------------------------------------------


@action(10)
def open_session(world: World) -> None:
    """A user's page asks for a session."""
    host, user = _host(world), world.random.choice(USERS)
    if host is None or len(world.api.visits) > 60:
        return
    world.api.session_seconds = world.random.choice([900.0, 3600.0, 3600.0, _DAY])

    def run() -> None:
        answer = host.request("POST", "/sessions", user=user)
        if answer.status == 201:
            registration_id = answer.json["registration_id"]
            world.audit.stored_for[registration_id] = user
            world.audit.creators[registration_id] = frozenset(host.handlers)
        elif answer.status == 503:
            world.audit.require(
                world.storage_may_fail("session", began, faults, host),
                "a session got 503 though the storage works",
            )
        else:
            partner_fails = world.api.mode != "up" or world.audit.was_disturbed(began, "partner")
            world.audit.require(partner_fails or answer.json["code"] == "partner_timeout",
                                f"a session got {answer.status} though ChatArchitect works")  # fmt: skip

    began, faults = world.scheduler.now, world.server.faults
    world.spawn("open session", host, run)


@action(8)
def take_a_step(world: World) -> None:
    """A user goes on in the iframe."""
    if (visit := _visit(world, completed=False)) is not None:
        world.api.go_on(visit)
        world.activity.append((world.scheduler.now, visit.registration_id))


@action(16)
def finish(world: World) -> None:
    """A user finishes; the webhook is sent, or lost. Some finish again, and get newer credentials."""
    again = world.random.random() < 0.25
    visit = _visit(world, completed=again)
    if visit is None:
        return
    same_instant = world.random.random() < 0.3
    issue = world.api.complete(visit, same_instant=same_instant)
    if issue is not None and world.random.random() < 0.75:
        world.post.append(world.api.webhook(visit, issue))


@action(12)
def poll(world: World) -> None:
    """A page asks for a registration: its owner's, or another user's, who must not see it."""
    host, visit = _host(world), _visit(world)
    if host is None or visit is None:
        return
    mine = world.random.random() < 0.75
    user = visit.user_id if mine else world.random.choice([one for one in USERS if one != visit.user_id])
    world.activity.append((world.scheduler.now, visit.registration_id))

    def run() -> None:
        answer = host.request("GET", f"/sessions/{visit.registration_id}", user=user)
        if not mine:
            world.audit.require(answer.status in (404, 503), f"{visit.registration_id}: another user saw it")
        elif answer.status == 200 and answer.json["status"] == "completed":
            world.audit.require(visit.completed, f"{visit.registration_id}: shown as completed, and is not")

    world.spawn("poll", host, run)


# --- the sender ----------------------------------------------------------------------------------


def _deliver(world: World, host: Host, delivery: Delivery) -> None:
    began, faults, clock = world.scheduler.now, world.server.faults, host.clock()

    def run() -> None:
        answer = host.request("POST", "/webhook", headers=delivery.headers, body=delivery.body)
        word = (answer.json or {}).get("status")
        ages = [abs(now - delivery.signed_at) for now in (clock, host.clock())]
        if answer.status == 200:
            world.audit.require(word in ("accepted", "duplicate"), f"a webhook was {word}")
            world.audit.acknowledged(delivery, word, began)
            world.audit.require(min(ages) <= 301, f"{delivery.registration_id}: a stale webhook was {word}")
        elif delivery.forged:
            world.audit.require(answer.status == 401, f"a forged webhook got {answer.status}")
        elif answer.status == 409:
            world.audit.require(delivery.mismatched, f"{delivery.registration_id}: a true webhook got 409")
        else:
            stale = answer.status == 401 and max(ages) > 299
            failing = answer.status == 503 and world.storage_may_fail("webhook", began, faults, host)
            world.audit.require(
                stale or failing,
                f"{delivery.registration_id}: a true webhook got {answer.status} {answer.json}",
            )
            if failing and world.random.random() < 0.3:
                world.post.append(delivery)

    world.spawn("webhook", host, run)


@action(16)
def deliver(world: World) -> None:
    """A webhook arrives: in any order, perhaps twice at two hosts, perhaps late."""
    host = _host(world)
    if host is None or not world.post:
        return
    delivery = world.random.choice(world.post)
    _deliver(world, host, delivery)
    if world.random.random() < 0.4:  # the sender sends it again, at once
        _deliver(world, _host(world) or host, delivery)
    if world.random.random() < 0.6:
        world.post.remove(delivery)
    if len(world.post) > 20:  # the oldest are lost
        del world.post[:10]


@action(6)
def deliver_again(world: World) -> None:
    """ChatArchitect signs a webhook anew, for credentials of any age."""
    host, visit = _host(world), _visit(world, completed=True)
    if host is None or visit is None:
        return
    issue = world.random.choice(visit.issues)
    world.post.append(world.api.webhook(visit, issue))
    if world.random.random() < 0.7:
        _deliver(world, host, world.post.pop())


@action(4)
def deliver_forged(world: World) -> None:
    """A webhook arrives that ChatArchitect has not sent."""
    host, visit = _host(world), _visit(world)
    if host is None or visit is None:
        return
    kinds = ["other token", "empty token", "changed body", "other time", "not signed"]
    _deliver(world, host, world.api.forged(visit, world.random.choice(kinds)))


@action(2)
def deliver_mismatched(world: World) -> None:
    """A webhook names another user or state than its session was created with."""
    host, visit = _host(world), _visit(world, completed=True)
    if host is None or visit is None or visit.registration_id in world.audit.gone:
        return
    if visit.registration_id not in world.audit.stored_for:
        return
    field = world.random.choice(["partner_user_id", "partner_state"])
    made = world.api.webhook(visit, visit.issues[-1], mismatch=field)

    def run() -> None:
        answer = host.request("POST", "/webhook", headers=made.headers, body=made.body)
        gone = visit.registration_id in world.audit.gone
        world.audit.require(
            answer.status != 200 or gone, f"{visit.registration_id}: a mismatched webhook was accepted"
        )

    world.spawn("mismatched", host, run)


# --- reconciling and the operator ----------------------------------------------------------------


def reconcile_at(world: World, host: Host) -> None:
    """Start a pass."""
    world.spawn("pass", host, host.embed.reconcile)


@action(12)
def reconcile(world: World) -> None:
    """One host makes a pass; sometimes all do."""
    everyone = world.random.random() < 0.3
    for host in world.alive if everyone else [_host(world)]:
        if host is not None:
            reconcile_at(world, host)


@action(1)
def reconcile_often(world: World) -> None:
    """Two hosts make many passes, for a quarter of an hour."""
    every = world.random.choice([10.0, 20.0, 40.0])
    ends = world.scheduler.now + 900
    hosts = world.random.sample(world.alive, min(2, len(world.alive)))
    while world.scheduler.now < ends:
        for host in hosts:
            if not host.dead:
                reconcile_at(world, host)
        pass_time(world, every)


@action(8)
def meet(world: World) -> None:
    """Several things happen to one registration at the same moment."""
    if (visit := _visit(world)) is None:
        return
    world.focus = visit
    things = [deliver_again, deliver_again, poll, reconcile, reconcile, replay, purge, crash_soon, cut_soon]
    for thing in world.random.choices(things, k=world.random.choice([2, 3, 4])):
        thing(world)


@action(1)
def come_back(world: World) -> None:
    """Nothing runs for more than a week; then everything at once: passes, a purge, and webhooks."""
    pass_time(world, 1200)  # what is under way ends
    world.scheduler.now += world.random.choice([8, 9, 40]) * _DAY
    waiting = [
        one
        for one in world.api.visits.values()
        if one.completed and one.registration_id not in world.audit.floor
    ]
    for thing in world.random.sample([reconcile, purge, purge, deliver], 3):
        thing(world)
    for visit in waiting[:4]:
        if (host := _host(world)) is not None:
            _deliver(world, host, world.api.webhook(visit, visit.issues[-1]))


@action(3)
def retry_webhook(world: World) -> None:
    """An operator asks for a webhook again."""
    host, visit = _host(world), _visit(world)
    if host is None or visit is None:
        return

    def run() -> None:
        try:
            host.embed.retry_webhook(visit.registration_id)
        except (PartnerError, NotFound):
            return
        world.post.append(world.api.webhook(visit, visit.issues[-1]))

    world.spawn("retry webhook", host, run)


@action(3)
def replay(world: World) -> None:
    """An operator makes handlers due again."""
    host, visit = _host(world), _visit(world, completed=True)
    if host is None or visit is None:
        return
    name = world.random.choice([None, *host.handlers])

    def run() -> None:
        world.audit.disturb("replay")
        try:
            host.embed.replay(visit.registration_id, name)
        except NotFound:
            return
        finally:
            world.audit.disturb("replay")

    world.spawn("replay", host, run)


@action(3)
def purge(world: World) -> None:
    """An operator removes old sessions that no one finished."""
    host = _host(world)
    if host is not None:
        days = world.random.choice([7, 7, 30])
        world.spawn("purge", host, lambda: host.embed.purge_expired(timedelta(days=days)))


@action(1)
def forget(world: World) -> None:
    """A user asks to be erased."""
    host, user = _host(world), world.random.choice(USERS)
    if host is None:
        return

    def run() -> None:
        theirs = [one.registration_id for one in world.api.visits.values() if one.user_id == user]
        for registration_id in theirs:
            world.audit.gone[registration_id] = float("inf")
        known = [one for one in theirs if world.server.visible.load(one) is not None]
        host.embed.forget(user)
        for registration_id in known:
            world.audit.forgotten[registration_id] = world.scheduler.now

    world.spawn("forget", host, run)


@action(1)
def disconnect(world: World) -> None:
    """The host no longer uses a number."""
    host, visit = _host(world), _visit(world)
    if host is None or visit is None:
        return
    registration_id = visit.registration_id

    def run() -> None:
        world.audit.gone[registration_id] = float("inf")
        try:
            host.embed.disconnect(registration_id)
        except NotFound:
            return
        if registration_id not in world.audit.removed:
            world.audit.disconnected.add(registration_id)

    world.spawn("disconnect", host, run)


@action(2)
def restart(world: World) -> None:
    """A process ends, and another starts in its place."""
    if (host := _host(world)) is not None:
        world.crash(host)
        world.start(host.place)


@action(4)
def start(world: World) -> None:
    """A process starts where one has crashed."""
    for place, host in enumerate(world.hosts):
        if host is None:
            world.start(place)
            return


@action(6)
def roll_out(world: World) -> None:
    """The latest configuration reaches one more host; when it has reached all, the next change may begin."""
    if world.deploying:
        place = min(world.deploying)
        world.deploying.remove(place)
        if (host := world.hosts[place]) is not None:
            world.crash(host)
        world.start(place)
        return
    world.random.choice([_next_keys, _next_tokens, _next_release, _next_release])(world)


def _deploy(world: World) -> None:
    world.deploying = set(range(len(world.hosts)))


def _next_keys(world: World) -> None:
    """Take the next step of the documented order: add last, move first, re-seal, remove."""
    keys, before = world.keys, world.config
    newest = KEYS.index(max(keys))
    if len(keys) == 1:
        if newest + 1 == len(KEYS):
            return
        world.keys = (*keys, KEYS[newest + 1])
    elif keys[0] != KEYS[newest]:
        world.keys = (keys[1], keys[0])
        world.rotated = False
    elif world.rotated:
        world.keys = (keys[0],)
    else:
        _rotate(world)
        return
    world.previous = before
    _deploy(world)


def _rotate(world: World) -> None:
    host, keys = _host(world), world.keys
    if host is None:
        return

    def run() -> None:
        did = host.embed.rotate_keys()
        world.audit.require(did.unreadable == 0, "rotate_keys met a record that cannot be opened")
        world.rotated = world.keys == keys

    world.spawn("rotate", host, run)


def _next_tokens(world: World) -> None:
    """Take the next step of the documented order: new first, ChatArchitect switches, remove the old."""
    tokens, before, api = world.tokens, world.config, world.api
    if len(tokens) == 1:
        newest = TOKENS.index(tokens[0])
        if newest + 1 == len(TOKENS):
            return
        world.tokens = (TOKENS[newest + 1], *tokens)
        world.switched_at = None
    elif world.switched_at is None:
        if world.random.random() < 0.5 and len(api.accepted) == 1:
            api.accepted = [*tokens]
        else:
            api.accepted, api.signing, world.switched_at = [tokens[0]], tokens[0], world.scheduler.now
        return
    elif world.scheduler.now - world.switched_at > 2 * _DAY:
        world.tokens = (tokens[0],)
    else:
        return
    world.previous = before
    _deploy(world)


def _next_release(world: World) -> None:
    world.previous = world.config
    world.release = (world.release + world.random.choice([1, 1, 1, 2])) % len(RELEASES)
    _deploy(world)


# --- what goes wrong -----------------------------------------------------------------------------


@action(4)
def crash_soon(world: World) -> None:
    """A host ends at one of its next storage calls, before or after its effect."""
    if (host := _host(world)) is not None:
        host.connection.crash_after = world.random.randrange(12)


@action(3)
def cut_soon(world: World) -> None:
    """The answer to one of a host's next storage calls is lost."""
    if (host := _host(world)) is not None:
        host.connection.cut_after = world.random.randrange(8)
        world.audit.disturb("storage")


@action(2)
def storage_fails(world: World) -> None:
    """The storage is down, without its standby, slow, or some records are locked."""
    server, pick = world.server, world.random.random()
    world.audit.disturb("storage")
    if pick < 0.2:
        server.down = True
    elif pick < 0.6:
        server.standby = False
    elif pick < 0.8:
        server.slow = world.random.choice([0.1, 2.0])
    else:
        ids = [one.registration_id for one in server.records() if "~" not in one.registration_id]
        server.locked = set(world.random.sample(ids, min(2, len(ids))))


@action(4)
def storage_heals(world: World) -> None:
    """The storage works again: the standby is back, or it was promoted."""
    heal_storage(world, promote=world.random.random() < 0.5)


def heal_storage(world: World, *, promote: bool) -> None:
    """End all trouble of the storage."""
    server = world.server
    if server.troubled:
        world.audit.disturb("storage")
    if promote:
        server.promote()
    server.down, server.slow, server.locked = False, 0.0, set()
    if not server.standby:
        server.standby = True
        server.make_durable()
    for host in world.alive:
        host.connection.cut = False
        if host.connection.cut_after is not None:
            world.audit.disturb("storage")
            host.connection.cut_after = None


@action(1)
def promote(world: World) -> None:
    """The primary is lost, and the standby goes on."""
    world.server.promote()


@action(3)
def partner_fails(world: World) -> None:
    """The Partner API is slow, down, broken, or asks for a pause."""
    api = world.api
    api.mode = world.random.choice(["slow", "down", "broken", "busy", "busy", "garbage"])
    api.retry_after = world.random.choice([None, 120.0, 900.0])
    world.audit.disturb("partner")


@action(5)
def partner_heals(world: World) -> None:
    """The Partner API works again."""
    world.api.mode = "up"
    world.audit.disturb("partner")


@action(2)
def clock_steps(world: World) -> None:
    """The clock of one host is wrong from now on, by seconds or by a day, either way."""
    host = _host(world)
    if host is not None and all(one.offset == 0 for one in world.alive):
        host.offset = world.random.choice([-1.0, 1.0]) * world.random.choice([3.0, 90.0, 7200.0, _DAY, SKEW])
        world.audit.disturb("clock")
        world.say(f"the clock of {host} is wrong by {host.offset:+.0f} s")


@action(3)
def clock_is_set(world: World) -> None:
    """All clocks are right again."""
    for host in world.alive:
        if host.offset:
            world.audit.disturb("clock")
            host.offset = 0.0


@action(3)
def handlers_change(world: World) -> None:
    """Some handlers begin or cease to fail, or to be slow."""
    world.failing = {name for name in ("connect", "report", "bill") if world.random.random() < 0.25}
    world.slow_handlers = world.random.random() < 0.3


# --- time ----------------------------------------------------------------------------------------


@action(8)
def seconds_pass(world: World) -> None:
    """Some seconds go by."""
    pass_time(world, world.random.choice([0.5, 3.0, 6.0, 20.0]))


@action(6)
def minutes_pass(world: World) -> None:
    """Some minutes go by."""
    pass_time(world, world.random.choice([61.0, 300.0, 900.0]))


@action(2)
def hours_pass(world: World) -> None:
    """Some hours go by, or days."""
    pass_time(world, world.random.choice([3600.0, 6 * 3600.0, _DAY]))


def pass_time(world: World, seconds: float) -> None:
    """Let tasks go on until so many seconds are over."""
    until = world.scheduler.now + seconds
    world.go(100_000, until=until)
    world.scheduler.now = max(world.scheduler.now, until)
