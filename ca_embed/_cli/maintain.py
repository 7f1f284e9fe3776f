"""`copy` and `purge`: copy registrations to another storage, or remove them."""

from __future__ import annotations

import argparse
import os
import re
import time
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands
from ca_embed._cli.output import WrongUsage, confirmed, print_fields, print_json, say
from ca_embed._cli.progress import progress
from ca_embed._cli.source import add_app_option, ledger_of, note_in_audit
from ca_embed._host.user_ids import is_user_id
from ca_embed._vault import copying, maintenance
from ca_embed._vault.copying import Copied
from ca_embed._vault.ledger import registrations_in
from ca_embed.errors import ConfigurationError
from ca_embed.storage._existing import create_nothing

if TYPE_CHECKING:
    from ca_embed._vault.ledger import Ledger
    from ca_embed.storage._base import Storage

_MAX_DAYS = 36_500
_FROM_ENVIRONMENT = "env:"


def add_to(commands: Commands) -> None:
    """Add the commands."""
    copied, purged = _add_copy(commands), _add_purge(commands)
    for parser in (copied, purged):
        parser.add_argument("--json", action="store_true", help="print JSON")
    add_app_option(purged)


def _add_copy(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "copy",
        help="copy all registrations to another storage",
        description="Copy all registrations, sealed as they are, from one storage URL to another, and read "
        "each back. The application may run meanwhile: run it again to carry over what has changed since. "
        "What an application has written to TO itself is left alone. Exits 1 if a record is unreadable, or "
        "differs from the one that TO has.",
    )
    parser.add_argument(
        "source",
        metavar="FROM",
        help="the storage URL to read from, or env:NAME for an environment variable with it",
    )
    parser.add_argument("target", metavar="TO", help="the storage URL to write to, or env:NAME")
    parser.set_defaults(run=copy)
    return parser


def _add_purge(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "purge",
        help="remove expired sessions, or all registrations of one user",
        description="Remove sessions that expired without a completion, or all registrations of one user "
        "with their credentials, or both. Before it erases a user it asks, unless --yes is given. Try "
        "--dry-run first.",
    )
    parser.add_argument(
        "--expired-for",
        type=_days,
        metavar="DAYS",
        help="sessions that expired at least so many days ago",
    )
    parser.add_argument("--user", type=user_id, metavar="USER_ID", help="all registrations of this user")
    parser.add_argument("--yes", action="store_true", help="erase the user without asking, for scripts")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, show what would be removed")
    parser.set_defaults(run=purge)
    return parser


def copy(args: argparse.Namespace) -> int:
    """Copy all registrations, and print the counts."""
    source, target = _source("FROM", args.source), _storage("TO", args.target)
    try:
        with progress("Copying", partial(registrations_in, source)) as shown:
            did = copying.copy(source, target, progress=shown)
    finally:
        source.close()
        target.close()
    _report(args, asdict(did))
    return _exit_code(did)


def _source(name: str, given: str) -> Storage:
    """Return a storage to read from. One on disk must exist: a mistyped path would look empty."""
    storage = _storage(name, given)
    path: Path | None = getattr(storage, "path", None)
    if path is not None and not path.exists():
        raise WrongUsage(f"{name}: there is no {path}; check the path")
    create_nothing(storage)
    return storage


def _storage(name: str, given: str) -> Storage:
    from ca_embed.storage._memory import MemoryStorage
    from ca_embed.storage._urls import storage_from_url

    try:
        storage = storage_from_url(_url(name, given))
    except ConfigurationError as error:
        raise WrongUsage(f"{name}: {'; '.join(error.problems)}") from None
    if isinstance(storage, MemoryStorage):
        raise WrongUsage(f"{name}: memory: is empty and ends with this command; name another storage")
    return storage


def _url(name: str, given: str) -> str:
    """Return the URL, or the value of the variable in env:NAME, which hides a password from `ps`."""
    variable = given.removeprefix(_FROM_ENVIRONMENT)
    if variable == given:
        return given
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        raise WrongUsage(f"{name}: after env: give the name of an environment variable that holds the URL")
    if not (url := os.environ.get(variable)):
        raise WrongUsage(f"{name}: the environment variable {variable} is not set; set it to the URL")
    return url


def _exit_code(did: Copied) -> int:
    """Print what to do about records that were not copied. Returns the exit code."""
    if did == Copied():
        say("FROM holds no registrations. Check its URL.")
    if did.differing:
        say("Differing records were left as they are in TO: its own application changed them. The log names")
        say("them; check which side is right.")
    if did.only_in_target:
        say("TO has records of its own, which were left as they are.")
    if did.unreadable:
        say("Unreadable records were not copied. The log names them, and says what to do.")
    if not did.equal and not did.apart:
        say("FROM changed again and again meanwhile. Stop its application, and run this once more.")
    return 1 if did.differing or did.unreadable else 0


def purge(args: argparse.Namespace) -> int:
    """Remove registrations, and print how many."""
    if args.expired_for is None and args.user is None:
        raise WrongUsage("give --expired-for DAYS, --user USER_ID, or both")
    ledger = ledger_of(args)
    question = f"Erase all registrations of user {args.user!r}?"
    if args.user is not None and not (args.yes or args.dry_run or confirmed(question)):
        say("Nothing was removed.")
        return 1
    try:
        removed = _purge(args, ledger)
    finally:
        ledger.close()
    _report(args, removed | {"dry_run": args.dry_run})
    if args.user is not None:
        say("Only this storage was purged. ChatArchitect and Meta keep their data: ask them to erase it.")
    return 0


def _purge(args: argparse.Namespace, ledger: Ledger) -> dict[str, object]:
    removed: dict[str, object] = {}
    if args.expired_for is not None:
        removed["expired"] = maintenance.purge_expired(
            ledger, older_than=args.expired_for, now=time.time(), dry_run=args.dry_run
        )
    if args.user is not None:
        removed["of_user"] = _forget(ledger, args.user, dry_run=args.dry_run)
        if not args.dry_run:
            note_in_audit(args, "forgotten", user_id=args.user)
    return removed


def _forget(ledger: Ledger, user_id: str, *, dry_run: bool) -> int:
    return sum(1 for _ in ledger.records(user_id)) if dry_run else maintenance.forget(ledger, user_id)


def _report(args: argparse.Namespace, fields: dict[str, object]) -> None:
    if args.json:
        print_json(fields)
    else:
        print_fields(fields)


def _days(text: str) -> timedelta:
    if not (text.isascii() and text.isdecimal()) or len(text) > 5 or int(text) > _MAX_DAYS:
        raise argparse.ArgumentTypeError(f"give a whole number of days, 0 to {_MAX_DAYS}")
    return timedelta(days=int(text))


def user_id(text: str) -> str:
    """Return a user id. Refuse an empty text above all: a shell variable may not be set."""
    if not is_user_id(text):
        raise argparse.ArgumentTypeError("a user id is 1 to 255 printable characters")
    return text
