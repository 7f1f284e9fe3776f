"""Where a command's settings come from: the host application's own Embed, or the environment.

Each command asks for what it needs and no more: a webhook can be verified with a partner token alone.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ca_embed._cli.output import WrongUsage
from ca_embed._config import collect, environment, read_base_url, read_keys, read_tokens
from ca_embed.errors import ConfigurationError, EmbedError

if TYPE_CHECKING:
    from ca_embed._vault.ledger import Ledger
    from ca_embed.embed import Embed


def add_app_option(parser: argparse.ArgumentParser) -> None:
    """Let the command take the host's own Embed."""
    parser.add_argument(
        "--app",
        metavar="MODULE:NAME",
        type=_named,
        help="your application's own Embed, like crm.whatsapp:embed, instead of the environment",
    )


def _named(text: str) -> str:
    """Refuse the empty text of a shell variable that is not set: it does not mean the environment."""
    if not text:
        raise argparse.ArgumentTypeError("MODULE:NAME, like crm.whatsapp:embed")
    return text


def embed_of(args: argparse.Namespace, **overrides: Any) -> Embed:
    """Return the Embed of `--app`, else one from the environment. Raises ConfigurationError, WrongUsage."""
    from ca_embed.embed import Embed

    return load_app(args.app) if args.app else Embed.from_env(**overrides)


def ledger_of(args: argparse.Namespace) -> Ledger:
    """Return the stored registrations. Storage and keys are enough for that."""
    from ca_embed._vault.keyring import Keyring
    from ca_embed._vault.ledger import Ledger
    from ca_embed.storage._resolve import open_storage

    if args.app:
        return load_app(args.app)._core.ledger
    given, problems = environment(), list[str]()
    storage = collect(problems, partial(open_storage, given.get("storage")))
    keys = collect(problems, partial(read_keys, given.get("encryption_keys")))
    if storage is None or keys is None:
        raise ConfigurationError(problems)
    return Ledger(storage, Keyring(keys))


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


def load_app(path: str) -> Embed:
    """Import the host's Embed, as its server would: from the working directory. Raises WrongUsage."""
    from ca_embed.embed import Embed

    module_name, colon, names = path.partition(":")
    if not module_name or not colon or not names:
        raise WrongUsage("--app is MODULE:NAME, like crm.whatsapp:embed")
    found: object = _import(module_name)
    for name in names.split("."):
        found = getattr(found, name, None)
    if not isinstance(found, Embed):
        raise WrongUsage(f"--app {path}: there is no Embed under this name in {module_name}")
    return found


def _import(module_name: str) -> object:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what the host prints is none of our data
            return import_module(module_name)
    except EmbedError:
        raise
    except ModuleNotFoundError as error:
        words = f"--app: there is no module {error.name!r} here; run this where it can be imported"
        raise WrongUsage(words) from None
    except Exception as error:  # noqa: BLE001 (the host's code may raise anything)
        # Its message may quote whatever the host's settings hold.
        kind = type(error).__name__
        raise WrongUsage(f"--app: {kind} in {module_name}; see why with: python -m {module_name}") from None
