"""`demo`: a host application and a local ChatArchitect, to click through or to run through once."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands, port_number
from ca_embed._cli.interrupt import Interruption
from ca_embed._cli.output import say

if TYPE_CHECKING:
    from ca_embed._cli.demo_sites import Demo


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="a host application and a local ChatArchitect: one URL to open",
        description="Run a small CRM and a local ChatArchitect, and print the URL to open.",
    )
    parser.add_argument(
        "--once", action="store_true", help="run one registration through without a browser, and end"
    )
    parser.add_argument(
        "--port", type=port_number, default=0, help="the host application's port (default: a free one)"
    )
    parser.add_argument("--storage", metavar="URL", help="a storage URL (default: a new database)")
    parser.set_defaults(run=run_demo, log_level=logging.INFO)


def run_demo(args: argparse.Namespace) -> int:
    """Run both sites until Ctrl-C, or with --once for one registration."""
    from ca_embed._cli.demo_once import run_once
    from ca_embed._cli.demo_sites import running

    with running(port=args.port, storage_url=args.storage) as demo:
        return run_once(demo) if args.once else _keep_running(demo)


def _keep_running(demo: Demo) -> int:
    with Interruption() as interruption:
        _introduce(demo)
        interruption.wait()
    return 0


def _introduce(demo: Demo) -> None:
    print(f"Open {demo.url}", flush=True)
    say(f"ChatArchitect's log page, with its knobs: {demo.sandbox.base_url}/sandbox")
    say("To see what is stored, now or afterwards, run this in another terminal:")
    say(f"    {demo.shell_command('list')}")
    say("Ctrl-C ends it.")
