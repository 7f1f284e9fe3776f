"""`disconnect` and `export`: end the use of a number; hand out what is stored of a user."""

from __future__ import annotations

import argparse
import json

from ca_embed._cli.command import Commands
from ca_embed._cli.maintain import user_id
from ca_embed._cli.output import confirmed, print_json, say
from ca_embed._cli.source import add_app_option, embed_of, ledger_of, note_in_audit
from ca_embed._vault.export import export as exported


def add_to(commands: Commands) -> None:
    """Add the commands."""
    ended = commands.add_parser(
        "disconnect",
        help="erase the credentials of a number that is no longer used, for good",
        description="Erase the credentials of one registration. No later webhook or answer brings them back; "
        "the user may register the number anew. It asks first, unless --yes is given.",
    )
    ended.add_argument("registration_id")
    ended.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    ended.set_defaults(run=disconnect)
    handed_out = commands.add_parser(
        "export",
        help="print all that is stored of one user, without the secret, as JSON",
        description="Print all that is stored of one user as JSON, without app_secret. "
        "Exits 1 if a record cannot be opened.",
    )
    handed_out.add_argument("user", type=user_id, metavar="USER_ID")
    handed_out.add_argument("--json", action="store_true", help="print it in one line")
    handed_out.set_defaults(run=export)
    for parser in (ended, handed_out):
        add_app_option(parser)


def disconnect(args: argparse.Namespace) -> int:
    """Erase the credentials of a registration."""
    embed = embed_of(args)
    embed._core.ledger.create_nothing()
    try:
        if not args.yes and not confirmed(f"Erase the credentials of {args.registration_id} for good?"):
            say("Nothing was changed.")
            return 1
        embed.disconnect(args.registration_id)
    finally:
        embed.close()
    say("Disconnected. ChatArchitect was told nothing: there the number stays registered.")
    return 0


def export(args: argparse.Namespace) -> int:
    """Print what is stored of a user."""
    ledger = ledger_of(args)
    try:
        found = exported(ledger, args.user)
        note_in_audit(args, "exported", user_id=args.user)
    finally:
        ledger.close()
    if args.json:
        print_json(found)
    else:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    if found["unreadable"]:
        say('Records that are named under "unreadable" were left out. `ca-embed show` says why.')
        return 1
    return 0
