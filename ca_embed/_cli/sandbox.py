"""`sandbox`: run a local stand-in for ChatArchitect."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands, port_number
from ca_embed._cli.interrupt import Interruption
from ca_embed._cli.output import print_fields, print_json, say

if TYPE_CHECKING:
    from ca_embed.sandbox import Sandbox


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("sandbox", help="run a local ChatArchitect to develop against")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port_number, default=0, help="the port (default: a free one)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run_sandbox)


def run_sandbox(args: argparse.Namespace) -> int:
    """Run the sandbox until Ctrl-C."""
    from ca_embed.sandbox import Sandbox

    with Interruption() as interruption, Sandbox(host=args.host, port=args.port) as sandbox:
        _introduce(args, sandbox)
        interruption.wait()
    return 0


def _introduce(args: argparse.Namespace, sandbox: Sandbox) -> None:
    log_page = f"{sandbox.base_url}/sandbox"
    if args.json:
        print_json(
            {"base_url": sandbox.base_url, "partner_token": sandbox.partner_token, "log_page": log_page}
        )
    else:
        print_fields(
            {
                "CA_EMBED_BASE_URL": sandbox.base_url,
                "CA_EMBED_PARTNER_TOKEN": sandbox.partner_token,
                "log page": log_page,
            }
        )
    say("It keeps everything in memory. Ctrl-C ends it.")
