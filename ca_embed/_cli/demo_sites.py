"""The two sites of the demo: a host application, and a local ChatArchitect."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    """The running demo: both sites, and a folder that stays after the end.

    url: the host application's page. folder: has `env_file`, and the database of the default storage.
    env_file: the settings, as environment variables for a shell.
    """

    url: str
    sandbox: Sandbox
    embed: Embed
    storage: Storage
    folder: Path
    env_file: Path

    def shell_command(self, command: str) -> str:
        """Return a line for the shell that runs a ca-embed command with this demo's settings."""
        env_file, python = shlex.quote(str(self.env_file)), shlex.quote(sys.executable)
        return f"set -a; . {env_file}; set +a; {python} -m ca_embed {command}"


@contextmanager
def running(*, port: int = 0, storage_url: str | None = None) -> Generator[Demo, None, None]:
    """Serve the sandbox and a host application, each on its own origin, inside the block.

    port: the host application's; 0 takes a free one. storage_url: by default a database in a new folder.
    The host application is at `localhost` and the sandbox at `127.0.0.1`: two sites for a browser, as in
    production.
    """
    from ca_embed.sandbox import Sandbox
    from ca_embed.sandbox._server import Server
    from ca_embed.storage._resolve import open_storage

    if storage_url:
        open_storage(storage_url)  # raises for a wrong URL before the folder is created
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
    """Return the environment variables of this host application."""
    from ca_embed._cli.crm import NAME
    from ca_embed._vault.keyring import generate_key

    # A storage of your own may have records already: only its own keys open them.
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
    """Build the host application as a host does, and serve it. Returns its Embed."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    from ca_embed._cli.crm import Crm, SignIn
    from ca_embed.embed import Embed

    sign_in = SignIn()
    arguments = environment(settings)
    arguments |= {"storage": storage, "identify": sign_in.user_of, "staff": sign_in.user_of}
    embed = Embed(**arguments)

    @embed.on_completed(name="welcome")
    def welcome(registration: Registration, credentials: Credentials) -> None:
        say(f"on_completed: {registration.user_id} connected +{credentials.phone}")

    crm = Crm(embed, sign_in, log_page=f"{sandbox.base_url}/sandbox")
    server.serve(DispatcherMiddleware(crm, {MOUNT: embed.wsgi}))
    return embed


def _write_env(path: Path, settings: Mapping[str, str]) -> Path:
    """Write the settings that are not in the environment, in a file that only its owner may read."""
    lines = [
        f"{name}={shlex.quote(value)}\n" for name, value in settings.items() if os.environ.get(name) != value
    ]
    path.touch(mode=0o600)
    path.write_text("".join(lines))
    return path
