"""`generate-key`: a new encryption key."""

from __future__ import annotations

import argparse

from ca_embed.cli.command import Commands
from ca_embed.cli.output import print_json, say


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("generate-key", help="print a new encryption key")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=generate)


def generate(args: argparse.Namespace) -> int:
    """Print a key: the one secret that this program prints, as it is nobody's yet."""
    from ca_embed.keyring import generate_key

    key = generate_key()
    if args.json:
        print_json({"encryption_key": key})
    else:
        print(key)
    say("Put it first in CA_EMBED_ENCRYPTION_KEYS and keep the old ones behind it; without it, what it")
    say("seals is lost. Keep a copy where your other secrets are kept, apart from the storage's backups.")
    return 0
