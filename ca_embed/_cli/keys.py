"""`generate-key`, `keys`, `rotate-keys`: a new encryption key, what the present ones seal, and its change."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ca_embed._cli.command import Commands
from ca_embed._cli.output import print_fields, print_json, print_table, say
from ca_embed._cli.progress import progress
from ca_embed._cli.source import add_app_option, ledger_of
from ca_embed._vault import maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How many records a key has sealed. place: its place in `encryption_keys`; None: it is not there."""

    key_id: str
    records: int
    place: int | None

    @property
    def seals(self) -> bool:
        """Whether it seals what is written now."""
        return self.place == 0

    @property
    def may_go(self) -> bool:
        """Whether no record needs it any more."""
        return bool(self.place) and not self.records

    @property
    def meaning(self) -> str:
        """Say what to make of it."""
        if self.seals:
            return "seals what is written now"
        if self.may_go:
            return "may go: no record needs it"
        if self.place:
            return "opens what it has sealed; `ca-embed rotate-keys` re-seals that under the first key"
        if self.key_id == "foreign":
            return "not sealed by ca_embed: another program has written here"
        return "is not in encryption_keys: add it again, for without it these records cannot be opened"


def add_to(commands: Commands) -> None:
    """Add the commands."""
    generated = commands.add_parser("generate-key", help="print a new encryption key")
    generated.set_defaults(run=generate)
    counted = commands.add_parser(
        "keys",
        help="count the records under each encryption key, and tell which key may go",
        description="Count the records under each encryption key, named by its id, never by the key itself.",
    )
    counted.set_defaults(run=keys)
    rotated = commands.add_parser(
        "rotate-keys",
        help="seal under the first encryption key what older ones have sealed",
        description="Seal under the first encryption key what older ones have sealed. The application may "
        "run meanwhile; after an interruption, run it again. Exits 1 if a record cannot be opened.",
    )
    rotated.add_argument("--dry-run", action="store_true", help="change nothing, tell what would be done")
    rotated.set_defaults(run=rotate)
    for parser in (generated, counted, rotated):
        parser.add_argument("--json", action="store_true", help="print JSON")
    for parser in (counted, rotated):
        add_app_option(parser)


def generate(args: argparse.Namespace) -> int:
    """Print a key: the one secret that this program prints, as it is nobody's yet."""
    from ca_embed._vault.keyring import generate_key

    key = generate_key()
    if args.json:
        print_json({"encryption_key": key})
    else:
        print(key)
    say("Put it first in CA_EMBED_ENCRYPTION_KEYS and keep the old ones behind it; without it, what it")
    say("seals is lost. Keep a copy where your other secrets are kept, apart from the storage's backups.")
    return 0


def keys(args: argparse.Namespace) -> int:
    """Count, and tell which key may go."""
    ledger = ledger_of(args)
    try:
        counted = maintenance.key_usage(ledger)
    finally:
        ledger.close()
    usages = _usages(ledger.key_ids, counted)
    if args.json:
        for usage in usages:
            print_json(asdict(usage) | {"seals": usage.seals, "may_go": usage.may_go})
    else:
        print_table(
            ("key_id", "records", "meaning"), [(one.key_id, one.records, one.meaning) for one in usages]
        )
    if any(usage.may_go for usage in usages):
        say("Before a key goes: no process may have it first any more, and backups that are older than the")
        say("last rotation still need it.")
    return 0


def _usages(key_ids: Sequence[str], counted: Counter[str]) -> list[Usage]:
    """Put the keys in their own order, and behind them what is sealed otherwise."""
    known = [Usage(key_id=key_id, records=counted[key_id], place=n) for n, key_id in enumerate(key_ids)]
    others = sorted(counted.keys() - set(key_ids))
    return known + [Usage(key_id=key_id, records=counted[key_id], place=None) for key_id in others]


def rotate(args: argparse.Namespace) -> int:
    """Re-seal, and tell what was done."""
    ledger = ledger_of(args)
    try:
        with progress("Rotating", ledger.records) as shown:
            did = maintenance.rotate_keys(ledger, dry_run=args.dry_run, progress=shown)
    finally:
        ledger.close()
    fields = asdict(did) | {"dry_run": args.dry_run}
    if args.json:
        print_json(fields)
    else:
        print_fields(fields)
    if did.unreadable:
        say("What is unreadable was left as it is; `ca-embed keys` tells which keys are missing.")
        return 1
    return 0
