"""`list` and `show`: print the stored registrations, never a secret."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from ca_embed._cli.command import Commands
from ca_embed._cli.output import WrongUsage, print_fields, print_json, print_table, say
from ca_embed._cli.source import add_app_option, ledger_of
from ca_embed._registration import HandlerStatus, Registration, State, shown
from ca_embed._vault.ledger import Ledger
from ca_embed._webhook import is_registration_id

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
    for parser in (listed, shown):
        parser.add_argument("--json", action="store_true", help="print JSON")
        add_app_option(parser)


def list_registrations(args: argparse.Namespace) -> int:
    """List the stored registrations."""
    ledger = ledger_of(args)
    try:
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


def _failed(registration: Registration) -> bool:
    return any(one.last_error is not None for one in registration.handlers)


def show(args: argparse.Namespace) -> int:
    """Show one registration or all, with their handler runs."""
    ledger = ledger_of(args)
    try:
        if args.registration_id is None:
            return _show_all(args, ledger)
        state = _load(ledger, args.registration_id)
    finally:
        ledger.close()
    if state is None:
        say(f"ca-embed: no registration {args.registration_id!r} is stored here; `ca-embed list` shows all")
        return 1
    _print(args, state)
    return 0


def _show_all(args: argparse.Namespace, ledger: Ledger) -> int:
    for number, state in enumerate(ledger.states()):
        if number and not args.json:
            print()
        _print(args, state)
    return 0


def _load(ledger: Ledger, registration_id: str) -> State | None:
    if not is_registration_id(registration_id):
        raise WrongUsage("a registration id is 1 to 128 of A-Z a-z 0-9 _ -")
    return ledger.load(registration_id)


def _print(args: argparse.Namespace, state: State) -> None:
    registration = shown(state)
    fields = asdict(registration)
    if state.credentials is not None:
        fields["app_id"] = state.credentials.app_id
    if args.json:
        print_json(fields)
        return
    del fields["handlers"]
    if state.credentials is not None:
        fields["app_secret"] = "sealed; your application gets it from embed.credentials()"  # noqa: S105 (a sentence, no secret)
    print_fields(fields | {f"handler {one.name}": _handler_text(one) for one in registration.handlers})


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
