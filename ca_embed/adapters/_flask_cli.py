"""The command `flask chatarchitect reconcile`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from flask.cli import with_appcontext

from ca_embed.embed import Embed


def reconcile_command(embed: Embed) -> click.Command:
    """Return the command, which prints its report as JSON."""

    @click.command()
    @with_appcontext
    def reconcile() -> None:
        """Finish what a lost webhook, a crash or a failed handler left open."""
        click.echo(json.dumps(asdict(embed.reconcile())))

    return reconcile
