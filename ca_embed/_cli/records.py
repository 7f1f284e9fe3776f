"""`list` and `show`: print the stored registrations, never a secret."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from ca_embed._cli.command import Commands
from ca_embed._cli.output import WrongUsage, print_fields, print_json, print_table, say
from ca_embed._cli.source import add_app_option, ledger_of
from ca_embed._events import Event
from ca_embed._registration import HandlerStatus, Registration, State, event_order, shown, shown_event
from ca_embed._vault.ledger import Ledger
from ca_embed._webhook import is_registration_id

_EVENT_COLUMNS = ("name", "registration_id", "received_at")
_COLUMNS = ("registration_id", "status", "user_id", "phone", "created_at", "completed_at", "furthest_step")


def add_to(commands: Commands) -> None:
    """Add the commands."""
    listed = commands.add_parser("list", help="list the registrations; with --json, one per line")
    listed.add_argument("--user", metavar="USER_ID", help="only those of this user")
    listed.add_argument(
        "--failed", action="store_true", help="those with a handler that failed, waits in vain, or is parked"
    )
    listed.add_argument("--status", help="only those of this status, like completed")
    listed.set_defaults(run=list_registrations)
    shown = commands.add_parser("show", help="show a registration, or all of them, in full")
    shown.add_argument("registration_id", nargs="?")
    shown.set_defaults(run=show)
    listed.add_argument("--events", action="store_true", help="signed events instead of registrations")
    for parser in (listed, shown):
        parser.add_argument("--json", action="store_true", help="print JSON")
        add_app_option(parser)


def list_registrations(args: argparse.Namespace) -> int:
    """List the stored registrations."""
    ledger = ledger_of(args)
    try:
        if args.events:
            return _list_events(args, ledger)
        found = (shown(state) for state in ledger.states(args.user))
        wanted = (
            one for one in found if args.status in (None, one.status) and (_failed(one) or not args.failed)
        )
        if args.json:
            for registration in wanted:
                print_json(asdict(registration))
        else:
            rows = [[getattr(registration, name) for name in _COLUMNS] for registration in wanted]
            print_table(_COLUMNS, rows)
    finally:
        ledger.close()
    return 0


def _list_events(args: argparse.Namespace, ledger: Ledger) -> int:
    events = [event for event in _events(ledger, args.user) if _failed(event) or not args.failed]
    if args.json:
        for event in events:
            print_json(asdict(event))
    else:
        rows = [[getattr(event, name) for name in _EVENT_COLUMNS] + [_states(event)] for event in events]
        print_table((*_EVENT_COLUMNS, "handlers"), rows)
    return 0


def _events(ledger: Ledger, user_id: str | None) -> Iterator[Event]:
    """Yield all events, or those of one user's registrations, in the order of their signing."""
    if user_id is None:
        states = list(ledger.events())
    else:
        ids = [state.registration.registration_id for state in ledger.states(user_id)]
        states = [event for one in ids for event in ledger.events(one)]
    return map(shown_event, sorted(states, key=event_order))


def _states(event: Event) -> str:
    return ", ".join(f"{one.name} {one.state}" for one in event.handlers)


def _failed(registration: Registration | Event) -> bool:
    return any(one.last_error is not None for one in registration.handlers)


def show(args: argparse.Namespace) -> int:
    """Show one registration or all, with their handler runs."""
    ledger = ledger_of(args)
    try:
        if args.registration_id is None:
            return _show_all(args, ledger)
        state = _load(ledger, args.registration_id)
        if state is not None:
            _print(args, ledger, state)
            return 0
    finally:
        ledger.close()
    say(f"ca-embed: no registration {args.registration_id!r} is stored here; `ca-embed list` shows all")
    return 1


def _show_all(args: argparse.Namespace, ledger: Ledger) -> int:
    for number, state in enumerate(ledger.states()):
        if number and not args.json:
            print()
        _print(args, ledger, state)
    return 0


def _load(ledger: Ledger, registration_id: str) -> State | None:
    if not is_registration_id(registration_id):
        raise WrongUsage("a registration id is 1 to 128 of A-Z a-z 0-9 _ -")
    return ledger.load(registration_id)


def _print(args: argparse.Namespace, ledger: Ledger, state: State) -> None:
    registration = shown(state)
    events = list(map(shown_event, sorted(ledger.events(registration.registration_id), key=event_order)))
    fields = asdict(registration)
    if state.credentials is not None:
        fields["app_id"] = state.credentials.app_id
    if args.json:
        print_json(fields | {"events": [asdict(event) for event in events]})
        return
    del fields["handlers"]
    if state.credentials is not None:
        fields["app_secret"] = "sealed; your application gets it from embed.credentials()"  # noqa: S105 (a sentence, no secret)
    fields |= {f"handler {one.name}": _handler_text(one) for one in registration.handlers}
    for number, event in enumerate(events, start=1):
        fields[f"event {number}"] = (
            f"{event.name}, received {event.received_at.isoformat(timespec='seconds')}"
        )
        fields |= {f"event {number} handler {one.name}": _handler_text(one) for one in event.handlers}
    print_fields(fields)


def _handler_text(handler: HandlerStatus) -> str:
    if handler.state == "done":
        return f"done, attempt {handler.attempts}"
    failed = (
        f" after {handler.attempts} failed attempts, last: {handler.last_error}" if handler.attempts else ""
    )
    if handler.state == "parked":
        return f"parked{failed}; fix it, and run ca-embed replay"
    assert handler.next_at is not None
    return f"due at {handler.next_at.isoformat(timespec='seconds')}{failed}"
