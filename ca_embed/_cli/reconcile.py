"""`reconcile`: finish what a lost webhook, a crash or a failing handler left open."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands, pause_seconds
from ca_embed._cli.interrupt import Interruption
from ca_embed._cli.output import print_fields, print_json, say
from ca_embed._cli.source import add_app_option, embed_of
from ca_embed.errors import StorageUnavailable

if TYPE_CHECKING:
    from ca_embed._reconciliation import Reconciliation
    from ca_embed.embed import Embed


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reconcile",
        help="finish what a lost webhook, a crash or a failing handler left open",
        description="Finish what is due, and print the counts. Exits 1 if something due could not be done.",
    )
    parser.add_argument(
        "--every", type=pause_seconds, metavar="SECONDS", help="repeat after so many seconds, until Ctrl-C"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="ask about N sessions a pass at most")
    parser.add_argument(
        "--seconds",
        type=pause_seconds,
        default=50.0,
        help="seconds after which a pass starts nothing new (default: 50)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one line per pass")
    add_app_option(parser)
    parser.set_defaults(run=reconcile)


def reconcile(args: argparse.Namespace) -> int:
    """Make one pass, or with --every one after another."""
    embed = embed_of(args)
    if not args.app:
        say("Without --app, no on_completed handler runs here; they stay due for a process that has them.")
    try:
        return _run_once(args, embed) if args.every is None else _run_repeatedly(args, embed)
    finally:
        embed.close()


def _run_once(args: argparse.Namespace, embed: Embed) -> int:
    did = _pass(args, embed)
    _report(args, did)
    undone = (did.unanswered, did.handlers_failed, did.handlers_parked, did.unreadable, did.failed)
    return 1 if any(undone) else 0


def _run_repeatedly(args: argparse.Namespace, embed: Embed) -> int:
    say(f"One pass every {args.every:g} s. Ctrl-C ends it.")
    with Interruption() as interruption:
        while True:
            try:
                _report(args, _pass(args, embed))
            except StorageUnavailable as error:
                say(f"ca-embed: {error}; trying again in {args.every:g} s")
            if interruption.wait(args.every):
                return 0


def _pass(args: argparse.Namespace, embed: Embed) -> Reconciliation:
    with redirect_stdout(sys.stderr):  # handlers may print; stdout is for our data alone
        return embed.reconcile(limit=args.limit, seconds=args.seconds)


def _report(args: argparse.Namespace, did: Reconciliation) -> None:
    if args.json:
        print_json(asdict(did))
    elif args.every is None:
        print_fields(asdict(did))
    else:
        print(", ".join(f"{name} {count}" for name, count in asdict(did).items()), flush=True)
