"""`manage.py chatarchitect reconcile`, `... list`, `... retry-webhook <registration_id>`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from ca_embed.adapters.django import embed
from ca_embed.errors import EmbedError

if TYPE_CHECKING:

    class _BaseCommand:  # Django has no type information
        stdout: Any

else:
    from django.core.management.base import BaseCommand as _BaseCommand


class Command(_BaseCommand):
    """Commands for registrations, which run with your settings and your handlers."""

    help = "Manages WhatsApp registrations with ChatArchitect."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add one subcommand for each action."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("reconcile", help="finish what was left open")
        actions.add_parser("list", help="list all registrations, without secrets")
        retry = actions.add_parser("retry-webhook", help="ask for the webhook of a registration again")
        retry.add_argument("registration_id")

    def handle(self, *_: Any, action: str, **options: Any) -> None:
        """Run the action and print its result as JSON."""
        try:
            self.stdout.write(json.dumps(self._run(action, **options), default=datetime.isoformat))
        except EmbedError as error:
            raise CommandError(str(error)) from None

    def _run(self, action: str, registration_id: str = "", **_: Any) -> Any:
        if action == "reconcile":
            return asdict(embed.reconcile())
        if action == "list":
            return [asdict(registration) for registration in embed.registrations()]
        return asdict(embed.retry_webhook(registration_id))
