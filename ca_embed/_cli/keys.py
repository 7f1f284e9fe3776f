"""`generate-key`, `keys`, `rotate-keys`: a new encryption key, the use of each key, and re-sealing."""

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
    """How many records a key has sealed. place: its place in `encryption_keys`, or None."""

    key_id: str
    records: int
    place: int | None

    @property
    def seals(self) -> bool:
        """Whether it seals new records."""
        return self.place == 0

    @property
    def may_go(self) -> bool:
        """Whether it may be removed: no record needs it."""
        return bool(self.place) and not self.records

    @property
    def meaning(self) -> str:
        """The sentence for the operator."""
        if self.seals:
            return "seals new records"
        if self.may_go:
            return "may go: no record needs it"
        if self.place:
            return "opens older records; `ca-embed rotate-keys` re-seals them under the first key"
        if self.key_id == "foreign":
            return "not sealed by ca_embed: find out which program writes here"
        return "is not in encryption_keys: add it again, or these records cannot be opened"


def add_to(commands: Commands) -> None:
    """Add the commands."""
    generated = commands.add_parser("generate-key", help="print a new encryption key")
    generated.set_defaults(run=generate)
    counted = commands.add_parser(
        "keys",
        help="count the records under each encryption key, and show which key may go",
        description="Count the records under each encryption key. Keys are shown by id, never in full.",
    )
    counted.set_defaults(run=keys)
    rotated = commands.add_parser(
        "rotate-keys",
        help="re-seal older records under the first encryption key",
        description="Re-seal the records of older encryption keys under the first one. The application may "
        "run meanwhile. After an interruption, run it again. Exits 1 if a record cannot be opened.",
    )
    rotated.add_argument("--dry-run", action="store_true", help="change nothing, show what would be done")
    rotated.set_defaults(run=rotate)
    for parser in (generated, counted, rotated):
        parser.add_argument("--json", action="store_true", help="print JSON")
    for parser in (counted, rotated):
        add_app_option(parser)


def generate(args: argparse.Namespace) -> int:
    """Print a new key. It is the only secret that this program prints, since it is not in use yet."""
    from ca_embed._vault.keyring import generate_key

    key = generate_key()
    if args.json:
        print_json({"encryption_key": key})
    else:
        print(key)
    say("Put it first in CA_EMBED_ENCRYPTION_KEYS, and keep the old keys after it. Keep a copy with your")
    say("other secrets, apart from the storage's backups: records cannot be opened without their key.")
    return 0


def keys(args: argparse.Namespace) -> int:
    """Count the records under each key, and show which key may go."""
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
        say("Before you remove a key, check that no running process has it as its first key.")
        say("Backups from before the last rotation still need it.")
    return 0


def _usages(key_ids: Sequence[str], counted: Counter[str]) -> list[Usage]:
    """Return the known keys in their order, then the other keys that have sealed records."""
    known = [Usage(key_id=key_id, records=counted[key_id], place=n) for n, key_id in enumerate(key_ids)]
    others = sorted(counted.keys() - set(key_ids))
    return known + [Usage(key_id=key_id, records=counted[key_id], place=None) for key_id in others]


def rotate(args: argparse.Namespace) -> int:
    """Re-seal older records under the first key, and print the counts."""
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
        say("Unreadable records were left as they are. `ca-embed keys` shows which keys are missing.")
        return 1
    return 0
