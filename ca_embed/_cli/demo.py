"""`demo`: a host application and a local ChatArchitect, to click through or to watch run through."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ca_embed._cli.command import Commands, port_number
from ca_embed._cli.interrupt import Interruption
from ca_embed._cli.output import say
from ca_embed._config import environment
from ca_embed._registration import Credentials, Registration

if TYPE_CHECKING:
    from ca_embed.embed import Embed
    from ca_embed.sandbox import Sandbox
    from ca_embed.sandbox._server import Server
    from ca_embed.storage._base import Storage

MOUNT = "/chatarchitect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The demo while it runs: both sides, and the folder with what is to be looked at afterwards.

    url: the host application's page. folder: holds `env_file`, and the database of the default storage.
    """

    url: str
    sandbox: Sandbox
    embed: Embed
    storage: Storage
    folder: Path
    env_file: Path

    def look(self, command: str) -> str:
        """Return the shell's line that runs a command on what this demo has stored."""
        env_file, python = shlex.quote(str(self.env_file)), shlex.quote(sys.executable)
        return f"set -a; . {env_file}; set +a; {python} -m ca_embed {command}"


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
        "--port", type=port_number, default=0, help="the host application's port (a free one)"
    )
    parser.add_argument("--storage", metavar="URL", help="a storage URL (a database in a new folder)")
    parser.set_defaults(run=run_demo, log_level=logging.INFO)


def run_demo(args: argparse.Namespace) -> int:
    """Run both sides, until interrupted or once."""
    from ca_embed._cli.demo_once import run_once

    with running(port=args.port, storage_url=args.storage) as demo:
        return run_once(demo) if args.once else _keep_running(demo)


def _keep_running(demo: Demo) -> int:
    with Interruption() as interruption:
        _introduce(demo)
        interruption.wait()
    return 0


def _introduce(demo: Demo) -> None:
    print(f"Open {demo.url}", flush=True)
    say(f"The other side's log, with its knobs: {demo.sandbox.base_url}/sandbox")
    say("What is stored, from another terminal, also afterwards:")
    say(f"    {demo.look('list')}")
    say("Ctrl-C ends it.")


@contextmanager
def running(*, port: int = 0, storage_url: str | None = None) -> Generator[Demo, None, None]:
    """Run the sandbox and a host application, each on an origin of its own.

    The host application is `localhost` and the sandbox `127.0.0.1`: two sites, as in life.
    """
    from ca_embed.sandbox import Sandbox
    from ca_embed.sandbox._server import Server
    from ca_embed.storage._resolve import open_storage

    if storage_url:
        open_storage(storage_url)  # tells that it is wrong before anything is made
    with Sandbox() as sandbox:
        server = Server("localhost", port)
        folder = Path(tempfile.mkdtemp(prefix="ca-embed-demo-"))
        settings = _settings(sandbox, server.base_url, folder, storage_url)
        storage = open_storage(settings["CA_EMBED_STORAGE"])
        embed = _serve(server, sandbox, settings, storage)
        try:
            yield Demo(
                url=server.base_url + "/",
                sandbox=sandbox,
                embed=embed,
                storage=storage,
                folder=folder,
                env_file=_write_env(folder / "demo.env", settings),
            )
        finally:
            server.close()
            embed.close()


def _settings(sandbox: Sandbox, host_url: str, folder: Path, storage_url: str | None) -> dict[str, str]:
    """Return the environment variables that an operator of this host application would have set."""
    from ca_embed._cli.crm import NAME
    from ca_embed._vault.keyring import generate_key

    kept_keys = os.environ.get("CA_EMBED_ENCRYPTION_KEYS") if storage_url else None
    return {
        "CA_EMBED_BASE_URL": sandbox.base_url,
        "CA_EMBED_PARTNER_TOKEN": sandbox.partner_token,
        "CA_EMBED_PUBLIC_URL": host_url + MOUNT,
        "CA_EMBED_STORAGE": storage_url or f"sqlite:///{folder / 'registrations.db'}",
        "CA_EMBED_ENCRYPTION_KEYS": kept_keys or generate_key(),
        "CA_EMBED_INTEGRATION": NAME,
    }


def _serve(server: Server, sandbox: Sandbox, settings: Mapping[str, str], storage: Storage) -> Embed:
    """Build the host application as a host does, and serve it."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    from ca_embed._cli.crm import Crm, SignIn
    from ca_embed.embed import Embed

    sign_in = SignIn()
    arguments = environment(settings)
    arguments |= {"storage": storage, "identify": sign_in.user_of}
    embed = Embed(**arguments)

    @embed.on_completed(name="welcome")
    def welcome(registration: Registration, credentials: Credentials) -> None:
        say(f"on_completed: {registration.user_id} has connected +{credentials.phone}")

    crm = Crm(embed, sign_in, log_page=f"{sandbox.base_url}/sandbox")
    server.serve(DispatcherMiddleware(crm, {MOUNT: embed.wsgi}))
    return embed


def _write_env(path: Path, settings: Mapping[str, str]) -> Path:
    """Write what the environment does not say already, for a shell to read, and for nobody else."""
    lines = [
        f"{name}={shlex.quote(value)}\n" for name, value in settings.items() if os.environ.get(name) != value
    ]
    path.touch(mode=0o600)
    path.write_text("".join(lines))
    return path
