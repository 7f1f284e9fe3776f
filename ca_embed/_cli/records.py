"""`list` and `show`: print the stored registrations, never a secret."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime

from ca_embed._cli.command import Commands
from ca_embed._cli.output import WrongUsage, print_fields, print_json, print_table, say
from ca_embed._cli.source import add_app_option, ledger_of
from ca_embed._registration import HandlerRun, State
from ca_embed._vault.ledger import Ledger
from ca_embed._webhook import is_registration_id

_COLUMNS = ("registration_id", "status", "user_id", "phone", "created_at", "completed_at")


def add_to(commands: Commands) -> None:
    """Add the commands."""
    listed = commands.add_parser("list", help="list the registrations; with --json, one per line")
    listed.add_argument("--user", metavar="USER_ID", help="only those of this user")
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
        found = (state.registration for state in ledger.states(args.user))
        wanted = (one for one in found if args.status in (None, one.status))
        if args.json:
            for registration in wanted:
                print_json(asdict(registration))
        else:
            rows = [[getattr(registration, name) for name in _COLUMNS] for registration in wanted]
            print_table(_COLUMNS, rows)
    finally:
        ledger.close()
    return 0


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
    fields = asdict(state.registration)
    if state.credentials is not None:
        fields["app_id"] = state.credentials.app_id
    if args.json:
        print_json(fields | {"handlers": [_handler_fields(run) for run in state.handlers]})
        return
    if state.credentials is not None:
        fields["app_secret"] = "sealed; your application gets it from embed.credentials()"  # noqa: S105 (a sentence, no secret)
    print_fields(fields | {f"handler {run.name}": _handler_text(run) for run in state.handlers})


def _handler_fields(run: HandlerRun) -> dict[str, object]:
    due_at = None if run.due_at is None else datetime.fromtimestamp(run.due_at, UTC)
    return {"name": run.name, "done": run.due_at is None, "due_at": due_at, "attempts": run.attempts}


def _handler_text(run: HandlerRun) -> str:
    if run.due_at is None:
        return f"done, attempt {run.attempts}"
    due_at = datetime.fromtimestamp(run.due_at, UTC).isoformat(timespec="seconds")
    return f"due at {due_at}, after {run.attempts} failed attempts" if run.attempts else f"due at {due_at}"
