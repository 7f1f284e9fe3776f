"""`replay`: run the handlers of a completed registration again."""

from __future__ import annotations

import argparse

from ca_embed._cli.command import Commands
from ca_embed._cli.output import say
from ca_embed._cli.source import add_app_option, embed_of


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="run the handlers of a completed registration again",
        description="Make handler runs due again, also those that are done or parked. `reconcile` runs them.",
    )
    parser.add_argument("registration_id")
    parser.add_argument("--handler", metavar="NAME", help="this handler alone; it may be a new one of --app")
    add_app_option(parser)
    parser.set_defaults(run=replay)


def replay(args: argparse.Namespace) -> int:
    """Make the runs due."""
    embed = embed_of(args)
    embed._core.ledger.create_nothing()
    try:
        embed.replay(args.registration_id, args.handler)
    finally:
        embed.close()
    say("The handlers are due. `ca-embed reconcile --app ...`, or your application, runs them.")
    return 0
