"""`doctor`: check all that a registration needs: here, at ChatArchitect, and on the way between."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands
from ca_embed._cli.doctor.finding import Finding, fail, ok, skip
from ca_embed._cli.output import one_line, print_json, say
from ca_embed._cli.source import add_app_option, embed_of
from ca_embed._config import environment
from ca_embed._urls import origin_of
from ca_embed.errors import ConfigurationError, RecordUnreadable, StorageUnavailable

if TYPE_CHECKING:
    from ca_embed.embed import Embed

_SETTINGS, _STORAGE = "settings", "storage"
_SHOWN = {"ok": "ok", "failed": "FAIL", "skipped": "left out"}


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="check settings, storage, Partner API, clock, and the mount as the outside sees it",
        description="Check settings, storage, Partner API, clock, and the mount as the outside sees it, also "
        "by a signed delivery. Prints one line per check: ok, FAIL with what to do, or left out. It changes "
        "no registration. Exits 1 if a check fails.",
    )
    parser.add_argument(
        "--page",
        action="append",
        default=[],
        type=_page_url,
        metavar="URL",
        help="also check the headers of this page of yours, which shows the registration; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one line per check")
    add_app_option(parser)
    parser.set_defaults(run=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Make all checks, and print each finding at once. Returns 1 if a check failed."""
    failures = 0
    for finding in _findings(args):
        failures += finding.result == "failed"
        if args.json:
            print_json(asdict(finding))
        else:
            print(_line(finding), flush=True)
    if failures and not args.json:
        say(f"Failed checks: {failures}. Fix them, and run ca-embed doctor again.")
    return 1 if failures else 0


def _line(finding: Finding) -> str:
    text = f"{finding.message}. {finding.advice}" if finding.advice else finding.message
    return f"{_SHOWN[finding.result]:<8}  {one_line(finding.check):<16}  {one_line(text)}"


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    try:
        embed = embed_of(args)
    except ConfigurationError as error:
        advice = "Fix it in the environment, or where your application builds its Embed."
        yield from (fail(_SETTINGS, problem, advice) for problem in error.problems)
        yield skip("everything else", "it needs the settings")
        return
    yield ok(_SETTINGS, "complete")
    in_memory = not args.app and environment()["storage"] == "memory:"
    try:
        yield _memory_storage() if in_memory else _storage(embed)
        yield from _checks(embed, args.page)
    finally:
        embed.close()


def _checks(embed: Embed, pages: Sequence[str]) -> Iterator[Finding]:
    from ca_embed._cli.doctor.mount import check_mount
    from ca_embed._cli.doctor.page import check_page
    from ca_embed._cli.doctor.partner import check_partner

    yield from check_partner(embed._core.settings, embed._core.clock)
    yield from check_mount(embed._core.settings, embed._core.clock)
    for page in pages:
        yield from check_page(page, embed._core.settings.iframe_origin)
    if not pages:
        yield skip("pages", "give --page URL for each page of yours that shows the registration")


def _storage(embed: Embed) -> Finding:
    try:
        embed._core.ledger.probe()
    except RecordUnreadable as error:
        advice = "Give the encryption keys that sealed it, or the storage that belongs to these keys."
        return fail(_STORAGE, str(error), advice)
    except StorageUnavailable as error:
        advice = "Check that its server runs, its disk is not full, and its place is writable for this user."
        return fail(_STORAGE, str(error), advice)
    return ok(_STORAGE, "can be read and written, and the encryption keys fit it")


def _memory_storage() -> Finding:
    message = "memory: forgets all registrations at a restart, and other processes do not see them"
    return fail(_STORAGE, message, "It is for tests: name another storage in CA_EMBED_STORAGE.")


def _page_url(text: str) -> str:
    try:
        origin_of(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return text
