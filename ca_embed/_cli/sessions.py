"""`create-session`, `result`, `retry-webhook`: the Partner API's three calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from ca_embed._cli.command import Commands
from ca_embed._cli.output import print_fields, print_json
from ca_embed._cli.source import add_app_option, embed_of, note_in_audit, partner_of
from ca_embed.errors import PartnerRejected

if TYPE_CHECKING:
    from ca_embed._partner.client import PartnerClient

_T = TypeVar("_T")

# The Partner API's statuses for a retired token, and for a session of another token.
_OTHER_TOKEN = (401, 403, 404)


def add_to(commands: Commands) -> None:
    """Add the commands."""
    create = commands.add_parser("create-session", help="open a registration session for one of your users")
    create.add_argument("user_id", help="your own id of the user")
    create.add_argument("--lang", help="de, en, es, pt or ru")
    create.add_argument("--integration", help="the name that the registration shows for your application")
    create.add_argument("--parent-origin", help="the page's origin, if it is not the first allowed one")
    create.add_argument("--partner-state", help="a text that comes back with the webhook")
    create.set_defaults(run=create_session)
    asked = commands.add_parser("result", help="ask ChatArchitect for the status of a registration")
    asked.set_defaults(run=result)
    retried = commands.add_parser("retry-webhook", help="make ChatArchitect send a webhook again")
    retried.set_defaults(run=retry_webhook)
    for parser in (asked, retried):
        parser.add_argument("registration_id")
    for parser in (create, asked, retried):
        parser.add_argument("--json", action="store_true", help="print JSON")
        add_app_option(parser)


def create_session(args: argparse.Namespace) -> int:
    """Open a session, store it, and print it. The iframe's URL may go to the user's browser."""
    embed = embed_of(args)
    try:
        session = embed.create_session(
            args.user_id,
            lang=args.lang,
            integration=args.integration,
            parent_origin=args.parent_origin,
            partner_state=args.partner_state,
        )
    finally:
        embed.close()
    _print(args, asdict(session))
    return 0


def result(args: argparse.Namespace) -> int:
    """Print the status of a registration, and of a completed one everything but the secret."""
    found = _ask(args, lambda client: client.result(args.registration_id))
    shown: dict[str, object] = {"registration_id": args.registration_id, "status": found.status}
    if found.completion is not None:
        credentials = found.completion.credentials
        shown |= {name: getattr(credentials, name) for name in ("app_id", "phone", "integration")}
        shown["completed_at"] = credentials.completed_at
    _print(args, shown)
    return 0


def retry_webhook(args: argparse.Namespace) -> int:
    """Make ChatArchitect send the webhook again, and print whether it arrived."""
    retry = _ask(args, lambda client: client.retry_webhook(args.registration_id))
    note_in_audit(args, "webhook_retried", registration_id=args.registration_id)
    _print(args, {"registration_id": args.registration_id, **asdict(retry)})
    return 1 if retry.last_error else 0


def _ask(args: argparse.Namespace, call: Callable[[PartnerClient], _T]) -> _T:
    """Make the call with the newest token, then with older ones until the registration is found."""
    from ca_embed._partner.client import PartnerClient

    base_url, tokens = partner_of(args)
    *newer, last = [PartnerClient(base_url, token) for token in tokens]
    for client in newer:
        try:
            with client:
                return call(client)
        except PartnerRejected as error:
            if error.partner_status not in _OTHER_TOKEN:
                raise
    with last:
        return call(last)


def _print(args: argparse.Namespace, fields: dict[str, object]) -> None:
    if args.json:
        print_json(fields)
    else:
        print_fields(fields)
