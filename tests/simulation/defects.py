"""Defects that are planted, to see that the simulation finds them: losses of the past, and what is like them.

Each is a small change of the code, made for the length of a block. None of them is what the simulation was
written against: it knows only what is promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from ca_embed import _reconciliation as reconciliation
from ca_embed import _registration as rules
from ca_embed._partner import breaker
from ca_embed._partner.clients import PartnerClients
from ca_embed._use_cases import handler_runner, registrar
from ca_embed._vault import maintenance
from ca_embed._vault.canary import Canary
from ca_embed._vault.lease import Lease
from ca_embed._vault.ledger import Ledger
from ca_embed._webhook import Verifier
from ca_embed.errors import InvalidSignature, StorageUnavailable
from ca_embed.http import _sessions
from tests.simulation.storage import Connection

Planter = Callable[[ExitStack], None]
DEFECTS: dict[str, Planter] = {}


def defect(what: str) -> Callable[[Planter], Planter]:
    """Add a defect. what: a sentence for the table."""

    def add(plant: Planter) -> Planter:
        DEFECTS[what] = plant
        return plant

    return add


@contextmanager
def planted(what: str) -> Iterator[None]:
    """Plant a defect for the block."""
    with ExitStack() as stack:
        DEFECTS[what](stack)
        yield


def _replace(stack: ExitStack, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` returns in the place of a function; `make` gets that function."""
    stack.enter_context(patch.object(owner, name, make(getattr(owner, name))))


# --- storing --------------------------------------------------------------------------------------


@defect("A purge deletes what has changed under it")
def _purge_without_version(stack: ExitStack) -> None:
    def make(_delete: Any) -> Any:
        def delete(self: Ledger, record: Any) -> bool:
            latest = self._storage.load(record.registration_id)
            return latest is not None and self._storage.delete(latest.registration_id, latest.version)

        return delete

    _replace(stack, Ledger, "delete", make)


@defect("Compare-and-swap is dropped: a save overwrites")
def _no_compare(stack: ExitStack) -> None:
    def make(save: Any) -> Any:
        def overwrite(self: Connection, record: Any) -> Any:
            known = self._server.visible.load(record.registration_id)
            return save(self, replace(record, version=known.version + 1 if known else 1))

        return overwrite

    _replace(stack, Connection, "save", make)


@defect("A duplicate is acknowledged on a plain read")
def _duplicate_on_read(stack: ExitStack) -> None:
    _replace(stack, registrar, "_is_acknowledged", lambda _function: lambda _accepted: False)


@defect("A webhook is acknowledged although the storage failed")
def _acknowledged_before(stack: ExitStack) -> None:
    def make(accept: Any) -> Any:
        def hasty(self: Any, completion: Any) -> Any:
            try:
                return accept(self, completion)
            except StorageUnavailable:
                return registrar.Accepted(rules.Outcome.ACCEPTED)

        return hasty

    _replace(stack, registrar.Registrar, "accept", make)


@defect("Older credentials replace newer ones")
def _no_rank(stack: ExitStack) -> None:
    ranks = iter(range(10**9))
    _replace(stack, rules, "_rank", lambda _rank: lambda *_: -next(ranks))


@defect("A result without a time outranks a webhook")
def _undated(stack: ExitStack) -> None:
    _replace(stack, rules, "_dated", lambda _dated: lambda completion, _registration: completion)


@defect("A webhook for another user is accepted")
def _no_mismatch(stack: ExitStack) -> None:
    _replace(stack, rules, "_same_session", lambda _same: lambda *_: True)


@defect("Erasing leaves no tombstone")
def _no_tombstone(stack: ExitStack) -> None:
    _replace(stack, maintenance, "_erase", lambda _erase: lambda ledger, record: ledger.delete(record))


@defect("A webhook brings back a number that was disconnected")
def _comes_back(stack: ExitStack) -> None:
    def make(complete: Any) -> Any:
        def forgetful(known: Any, *rest: Any, **more: Any) -> Any:
            return complete(known and replace(known, disconnected=False), *rest, **more)

        return forgetful

    _replace(stack, rules, "complete", make)


# --- proof ----------------------------------------------------------------------------------------


@defect("A stale webhook is accepted")
def _no_window(stack: ExitStack) -> None:
    def make(authenticate: Any) -> Any:
        return lambda self, body, headers, _now: authenticate(self, body, headers, float(headers[0]))

    _replace(stack, Verifier, "authenticate", make)


@defect("The timestamp is not part of what is signed")
def _body_alone(stack: ExitStack) -> None:
    def make(authenticate: Any) -> Any:
        def lax(self: Any, body: bytes, headers: Any, now: float) -> Any:
            try:
                return authenticate(self, body, headers, now)
            except InvalidSignature:
                before = b"%d" % (int(headers[0]) - 1)
                return authenticate(self, body, (before, headers[1]), now)

        return lax

    _replace(stack, Verifier, "authenticate", make)


@defect("Only the newest partner token verifies webhooks")
def _newest_token(stack: ExitStack) -> None:
    _replace(
        stack, Verifier, "__init__", lambda init: lambda self, tokens, window: init(self, tokens[:1], window)
    )


@defect("Another user's registration is shown")
def _no_owner(stack: ExitStack) -> None:
    def make(find: Any) -> Any:
        def anyones(core: Any, registration_id: str, user_id: str) -> Any:
            state = core.ledger.load(registration_id)
            return find(core, registration_id, state.registration.user_id if state else user_id)

        return anyones

    _replace(stack, _sessions, "_find", make)


@defect("The log shows a secret")
def _secret_in_log(stack: ExitStack) -> None:
    def make(accept: Any) -> Any:
        def chatty(self: Any, completion: Any) -> Any:
            registrar.logger.info("accepting %s", completion.credentials.app_secret)
            return accept(self, completion)

        return chatty

    _replace(stack, registrar.Registrar, "accept", make)


# --- handlers -------------------------------------------------------------------------------------


@defect("A webhook owes only the handlers of the process that accepts it")
def _own_handlers(stack: ExitStack) -> None:
    def make(complete: Any) -> Any:
        def forgetful(known: Any, *rest: Any, **more: Any) -> Any:
            return complete(known and replace(known, host_handlers=()), *rest, **more)

        return forgetful

    _replace(stack, rules, "complete", make)


@defect("The claim of a running handler is not renewed")
def _not_renewed(stack: ExitStack) -> None:
    _replace(stack, handler_runner.HandlerRunner, "renew_claim", lambda _renew: lambda *_, **__: None)


@defect("A claim of another worker is not respected")
def _no_claims(stack: ExitStack) -> None:
    _replace(stack, rules, "claim_ended", lambda _ended: lambda _state, _now: True)


@defect("A failed handler is retried without back-off")
def _handlers_at_once(stack: ExitStack) -> None:
    def make(after: Any) -> Any:
        def eager(run: Any, now: float, error: Any) -> Any:
            noted = after(run, now, error)
            return noted if error is None else replace(noted, due_at=now)

        return eager

    _replace(stack, rules, "_after_run", make)


@defect("A handler that failed is noted as done")
def _failure_is_done(stack: ExitStack) -> None:
    _replace(stack, rules, "_after_run", lambda after: lambda run, now, _error: after(run, now, None))


@defect("A handler's success for older credentials counts for newer ones")
def _any_generation(stack: ExitStack) -> None:
    def make(handled: Any) -> Any:
        def blind(state: Any, ran: Any, *rest: Any, **more: Any) -> Any:
            return handled(state, replace(ran, generation=state.generation), *rest, **more)

        return blind

    _replace(stack, rules, "handled", make)


# --- asking and passes ----------------------------------------------------------------------------


@defect("A lost webhook is never asked about")
def _never_asked(stack: ExitStack) -> None:
    _replace(stack, rules, "must_ask", lambda _must: lambda _state, _now: False)


@defect("One pass by a clock that is ahead ends the search")
def _clock_ends_search(stack: ExitStack) -> None:
    def make(_final: Any) -> Any:
        return lambda state, now: replace(state, look_at=None) if rules._is_over(state, now) else state

    _replace(stack, rules, "_without_final_word", make)


@defect("A time far ahead is believed")
def _far_ahead(stack: ExitStack) -> None:
    def make(_must: Any) -> Any:
        return lambda state, now: state.is_open and state.look_at is not None and now >= state.look_at

    _replace(stack, rules, "must_ask", make)
    _replace(stack, reconciliation.Pass, "_ahead", lambda _ahead: lambda _self, _band: iter(()))


@defect("An answer that failed ends a search that lasted a week")
def _unreachable_ends(stack: ExitStack) -> None:
    def make(_unreachable: Any) -> Any:
        def hasty(state: Any, now: float) -> Any:
            ended = rules._is_over(state, now - rules.SEARCH_AFTER_EXPIRY)
            return replace(state, look_at=None if ended else now + 5) if state.is_open else state

        return hasty

    _replace(stack, rules, "unreachable", make)


@defect("Questions are asked without back-off")
def _no_back_off(stack: ExitStack) -> None:
    def make(asking: Any) -> Any:
        return lambda state, now, **more: replace(asking(state, now, **more), look_at=now)

    _replace(stack, rules, "asking", make)


@defect("A pause that the Partner API asks for is ignored")
def _no_pause(stack: ExitStack) -> None:
    _replace(stack, breaker, "_asked_pause", lambda _asked: lambda _result: None)


@defect("Two passes ask at the same time: the lease is given to all")
def _no_lease(stack: ExitStack) -> None:
    def make(take: Any) -> Any:
        def always(self: Lease) -> bool:
            take(self)
            return True

        return always

    _replace(stack, Lease, "take", make)


@defect("One locked record stops a pass")
def _not_guarded(stack: ExitStack) -> None:
    def make(_guarded: Any) -> Any:
        return lambda _self, _registration_id, call, *args, **more: call(*args, **more)

    _replace(stack, reconciliation.Pass, "_guarded", make)


# --- keys and tokens ------------------------------------------------------------------------------


@defect("A rotation of keys overlooks completed registrations")
def _rotation_overlooks(stack: ExitStack) -> None:
    def make(reseal: Any) -> Any:
        def careless(ledger: Ledger, record: Any, counts: Any, *, dry_run: bool) -> bool:
            if ledger.opened(record).completed:
                return True
            return bool(reseal(ledger, record, counts, dry_run=dry_run))

        return careless

    _replace(stack, maintenance, "_reseal", make)


@defect("A new key locks out processes that do not seal under it yet")
def _one_canary(stack: ExitStack) -> None:
    def make(before: Any) -> Any:
        def jealous(self: Canary) -> None:
            first = not self._has_first_key
            before(self)
            if first:
                self.forget_unused(())

        return jealous

    _replace(stack, Canary, "before_sealing", make)


@defect("A partner token that is refused is not followed by the next")
def _first_token(stack: ExitStack) -> None:
    def make(order: Any) -> Any:
        return lambda self, creator: order(self, creator)[:1]

    _replace(stack, PartnerClients, "_order", make)
