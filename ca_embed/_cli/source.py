"""The settings of a command, from the environment or from the host application's own Embed (`--app`).

A command reads only the settings that it needs: `verify` works with a partner token alone.
"""

from __future__ import annotations

import argparse
import getpass
from functools import partial
from typing import TYPE_CHECKING, Any

from ca_embed._cli.application import HOW, load_app
from ca_embed._config import collect, environment, read_base_url, read_keys, read_namespace, read_tokens
from ca_embed.errors import ConfigurationError

if TYPE_CHECKING:
    from ca_embed._vault.ledger import Ledger
    from ca_embed.embed import Embed


def add_app_option(parser: argparse.ArgumentParser) -> None:
    """Add the option --app, for the host's own Embed or application."""
    parser.add_argument(
        "--app",
        metavar="MODULE:NAME",
        type=_not_empty,
        help="your own Embed, or the application with it, instead of the environment; also "
        "MODULE:NAME.NAME and MODULE:FACTORY()",
    )


def _not_empty(text: str) -> str:
    """Refuse an empty text: it is a shell variable that is not set, and does not mean the environment."""
    if not text:
        raise argparse.ArgumentTypeError(f"give {HOW}")
    return text


def embed_of(args: argparse.Namespace, **overrides: Any) -> Embed:
    """Return the Embed of --app, or one from the environment. Raises ConfigurationError, WrongUsage."""
    from ca_embed.embed import Embed

    embed = load_app(args.app) if args.app else Embed.from_env(**overrides)
    embed._core.audit.actor = _operator()
    return embed


def note_in_audit(
    args: argparse.Namespace, action: str, *, user_id: str | None = None, registration_id: str | None = None
) -> None:
    """Write to the audit trail of --app what the command has done. Without --app there is none."""
    if args.app:
        embed_of(args)._core.audit.note(action, user_id=user_id, registration_id=registration_id)


def _operator() -> str:
    """Name who runs the command, for the audit trail."""
    try:
        return f"ca-embed by {getpass.getuser()}"
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return "ca-embed"


def ledger_of(args: argparse.Namespace) -> Ledger:
    """Return the ledger of registrations. It needs the storage and the keys only.

    It creates no storage. A wrong path, or a wrong working directory, would look like an empty storage.
    """
    ledger = load_app(args.app)._core.ledger if args.app else _ledger_from_environment()
    ledger.create_nothing()
    return ledger


def _ledger_from_environment() -> Ledger:
    from ca_embed._vault.keyring import Keyring
    from ca_embed._vault.ledger import Ledger
    from ca_embed.storage._resolve import open_storage

    given, problems = environment(), list[str]()
    storage = collect(problems, partial(open_storage, given.get("storage")))
    keys = collect(problems, partial(read_keys, given.get("encryption_keys")))
    namespace = collect(problems, partial(read_namespace, given.get("namespace")))
    if storage is None or keys is None or problems:
        raise ConfigurationError(problems)
    return Ledger(storage, Keyring(keys), namespace=namespace)


def partner_of(args: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    """Return the Partner API's base URL and the partner tokens, the newest first."""
    if args.app:
        settings = load_app(args.app)._core.settings
        return settings.base_url, settings.tokens
    given, problems = environment(), list[str]()
    base_url = collect(problems, partial(read_base_url, given.get("base_url")))
    tokens = collect(problems, partial(read_tokens, given.get("partner_token")))
    if base_url is None or tokens is None:
        raise ConfigurationError(problems)
    return base_url, tokens


def tokens_of(args: argparse.Namespace) -> tuple[tuple[str, ...], float]:
    """Return the partner tokens and the replay window in seconds."""
    if args.app:
        settings = load_app(args.app)._core.settings
        return settings.tokens, settings.replay_window
    return read_tokens(environment().get("partner_token")), 300
