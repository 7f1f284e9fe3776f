"""`generate-key`, `keys`, `rotate-keys`: a new encryption key, the use of each key, and re-sealing."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from ca_embed._cli.command import Commands
from ca_embed._cli.output import print_fields, print_json, print_table, say
from ca_embed._cli.progress import progress
from ca_embed._cli.source import add_app_option, ledger_of, note_in_audit
from ca_embed._vault import maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How many records a key has sealed.

    place: its place in `encryption_keys`, or None.
    remembered: whether the storage still takes it for a key in use. `rotate-keys` ends that.
    """

    key_id: str
    records: int
    place: int | None
    remembered: bool

    @property
    def seals(self) -> bool:
        """Whether it seals new records."""
        return self.place == 0

    @property
    def may_go(self) -> bool:
        """Whether it may be removed: no record needs it."""
        return bool(self.place) and not self.records and not self.remembered

    @property
    def meaning(self) -> str:
        """The sentence for the operator."""
        if self.seals:
            return "seals new records"
        if self.may_go:
            return "no record needs it: an old key may go, a new key may be put first"
        if self.place and not self.records:
            return "no record needs it: run `ca-embed rotate-keys`, then it may go"
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
        help="count the records under each encryption key, and show which key you can remove",
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
    say("For a new storage, put it into CA_EMBED_ENCRYPTION_KEYS. To change the key, put it last, after the")
    say("old key, and deploy that everywhere. Then put it first and deploy. Then run `ca-embed rotate-keys`")
    say("and remove the old key. Keep a copy with your other secrets, apart from the storage's backups:")
    say("records cannot be opened without their key.")
    return 0


def keys(args: argparse.Namespace) -> int:
    """Count the records under each key, and show which key you can remove."""
    ledger = ledger_of(args)
    try:
        counted, remembered = maintenance.key_usage(ledger), ledger.canary.key_ids()
    finally:
        ledger.close()
    usages = _usages(ledger.key_ids, counted, remembered)
    if args.json:
        for usage in usages:
            print_json(asdict(usage) | {"seals": usage.seals, "may_go": usage.may_go})
    else:
        print_table(
            ("key_id", "records", "meaning"), [(one.key_id, one.records, one.meaning) for one in usages]
        )
    if any(usage.may_go for usage in usages):
        say("Before you put a key first, check that every running process has it in its list.")
        say("Before you remove a key, check that no running process has it as its first key.")
        say("Backups from before the last rotation still need it.")
    return 0


def _usages(key_ids: Sequence[str], counted: Counter[str], remembered: Collection[str]) -> list[Usage]:
    """Return the known keys in their order, then the other keys that have sealed records."""

    def usage(key_id: str, place: int | None) -> Usage:
        return Usage(key_id=key_id, records=counted[key_id], place=place, remembered=key_id in remembered)

    known = [usage(key_id, place) for place, key_id in enumerate(key_ids)]
    return known + [usage(key_id, None) for key_id in sorted(counted.keys() - set(key_ids))]


def rotate(args: argparse.Namespace) -> int:
    """Re-seal older records under the first key, and print the counts."""
    ledger = ledger_of(args)
    try:
        with progress("Rotating", ledger.records) as shown:
            did = maintenance.rotate_keys(ledger, dry_run=args.dry_run, progress=shown)
        if not args.dry_run:
            note_in_audit(args, "keys_rotated")
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
