"""`doctor`: check all that a registration needs: here, at ChatArchitect, and on the way between."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands
from ca_embed._cli.doctor.debts import check_debts
from ca_embed._cli.doctor.finding import Finding, fail, ok, skip, warn
from ca_embed._cli.doctor.place import check_place
from ca_embed._cli.output import one_line, print_json, say
from ca_embed._cli.source import add_app_option, embed_of
from ca_embed._config import environment
from ca_embed._urls import origin_of
from ca_embed.errors import ConfigurationError, RecordUnreadable, StorageUnavailable
from ca_embed.storage._existing import says_there_is_none

if TYPE_CHECKING:
    from ca_embed._config import Settings
    from ca_embed.embed import Embed

Headers = Sequence[tuple[str, str]]

_SETTINGS, _STORAGE = "settings", "storage"
_SHOWN = {"ok": "ok", "warning": "WARN", "failed": "FAIL", "skipped": "left out"}


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="check settings, storage, Partner API, clock, and the mount as the outside sees it",
        description="Check settings, storage, Partner API, clock, and the mount as the outside sees it, also "
        "by a signed delivery. Prints one line per check: ok, WARN or FAIL with what to do, or left out. It "
        "changes no registration. Exits 1 if a check fails.",
    )
    parser.add_argument(
        "--page",
        action="append",
        default=[],
        type=_page_url,
        metavar="URL",
        help="also check the headers of this page of yours, which shows the registration; may be repeated",
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="send this header with the requests for the pages, for example the Cookie of a signed-in user; "
        "may be repeated; nothing else gets it",
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
    yield from _commas(embed._core.settings)
    in_memory = not args.app and environment()["storage"] == "memory:"
    try:
        storage = _memory_storage() if in_memory else _storage(embed)
        yield storage
        yield from _debts(embed) if storage.result == "ok" else [skip("debts", "they need the storage")]
        yield from check_place(embed._core.ledger.path)
        yield from _checks(embed, args.page, args.header)
    finally:
        embed.close()


def _checks(embed: Embed, pages: Sequence[str], headers: Headers) -> Iterator[Finding]:
    from ca_embed._cli.doctor.mount import check_mount
    from ca_embed._cli.doctor.page import check_page
    from ca_embed._cli.doctor.partner import check_partner

    yield from check_partner(embed._core.settings, embed._core.clock)
    yield from check_mount(embed._core.settings, embed._core.clock)
    for page in pages:
        yield from check_page(page, headers, embed._core.settings.iframe_origin)
    if not pages:
        yield skip("pages", "give --page URL for each page of yours that shows the registration")


def _storage(embed: Embed) -> Finding:
    """Read from the storage and write to it. Create none: at a wrong path it would look like a right one."""
    ledger = embed._core.ledger
    ledger.create_nothing()
    try:
        ledger.probe()
    except RecordUnreadable as error:
        advice = "Give the encryption keys that sealed it, or the storage that belongs to these keys."
        return fail(_STORAGE, str(error), advice)
    except StorageUnavailable as error:
        if says_there_is_none(error):
            return _no_storage(ledger.path)
        advice = "Check that its server runs, its disk is not full, and its place is writable for this user."
        return fail(_STORAGE, str(error), advice)
    return ok(_STORAGE, "can be read and written, and the encryption keys fit it")


def _no_storage(path: Path | None) -> Finding:
    if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        message = f"{path} does not exist, and cannot be created in {path.parent}"
        return fail(_STORAGE, message, "Create that folder, and make it writable for this user.")
    message = f"{path or 'its table'} does not exist yet; the application creates it at its first use"
    advice = (
        "If the application has run, check CA_EMBED_STORAGE: a relative path begins where it was started."
    )
    return warn(_STORAGE, message, advice)


def _debts(embed: Embed) -> Iterator[Finding]:
    try:
        yield from check_debts(embed._core.ledger, embed._core.clock())
    except StorageUnavailable as error:
        yield fail(_STORAGE, str(error), "Run ca-embed doctor again when the storage answers.")


def _commas(settings: Settings) -> Iterator[Finding]:
    """Warn of secrets that look like several."""
    for name, secrets in (("partner_token", settings.tokens), ("encryption_keys", settings.keys)):
        for place, secret in enumerate(secrets):
            if "," in secret:
                message = f"{name}[{place}] has a comma inside, and counts as one"
                advice = "If these are several, separate them by white space, or give a list."
                yield warn(_SETTINGS, message, advice)


def _memory_storage() -> Finding:
    message = "memory: forgets all registrations at a restart, and other processes do not see them"
    return fail(_STORAGE, message, "It is for tests: name another storage in CA_EMBED_STORAGE.")


def _header(text: str) -> tuple[str, str]:
    """Return the name and the value. The value may be a secret, so no message shows it."""
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise argparse.ArgumentTypeError("give it as 'NAME: VALUE'")
    if not value or not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]+", value):
        raise argparse.ArgumentTypeError(f"the value of {name} is empty or has characters that no header has")
    return name, value


def _page_url(text: str) -> str:
    try:
        origin_of(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return text
