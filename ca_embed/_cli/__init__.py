"""The command line: `ca-embed`, also `python -m ca_embed`.

Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence

from ca_embed._cli import (
    demo,
    disconnect,
    doctor,
    keys,
    maintain,
    reconcile,
    records,
    replay,
    sandbox,
    serve,
    sessions,
    verify,
)
from ca_embed._cli.output import WrongUsage, one_line, say
from ca_embed._version import __version__
from ca_embed.errors import ConfigurationError, EmbedError, InvalidArgument

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

_COMMANDS = (
    demo,
    sandbox,
    serve,
    sessions,
    reconcile,
    replay,
    disconnect,
    records,
    verify,
    keys,
    maintain,
    doctor,
)


def main(arguments: Sequence[str] | None = None, *, prog: str = "ca-embed", app: str | None = None) -> int:
    """Run one command and return its exit code; argparse itself ends the process for wrong usage.

    prog: the name that the usage shows. app: what `--app` is if it is not given.
    """
    args = _parser(prog).parse_args(arguments)
    if app is not None and getattr(args, "app", app) is None:
        args.app = app
    _log_to_stderr(args.log_level)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_closed()
    except Exception as error:  # noqa: BLE001 (an operator gets a sentence for every error)
        return _explain(error)
    return code


def _parser(prog: str = "ca-embed") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="WhatsApp registration with ChatArchitect, inside any Python web application.",
        epilog="Settings come from the environment variables CA_EMBED_..., or from --app.",
    )
    parser.add_argument("--version", action="version", version=f"ca-embed {__version__}")
    parser.set_defaults(log_level=logging.WARNING)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_to(commands)
    return parser


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("ca_embed").setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # no warnings about retries


def _explain(error: Exception) -> int:
    """Print what went wrong and what to do, without a traceback. Returns the exit code."""
    match error:
        case ConfigurationError():
            say("ca-embed: settings are missing or wrong:")
            for problem in error.problems:
                say(f"  - {one_line(problem)}")
            return WRONG_USAGE
        case WrongUsage() | InvalidArgument():
            say(f"ca-embed: {one_line(str(error))}")
            return WRONG_USAGE
        case EmbedError():
            say(f"ca-embed: {one_line(str(error))}")
        case OSError(errno=errno.EADDRINUSE):
            say("ca-embed: another program uses this port; give a free one with --port")
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            say(f"ca-embed: {one_line(place + (error.strerror or type(error).__name__))}")
        case _:
            # Its message is not ours, and may quote a secret.
            say(f"ca-embed: unexpected error ({type(error).__name__}); please report it")
    return FAILED


def _reader_closed() -> int:
    """End quietly when the reader of the pipe has ended, as in `ca-embed list | head`."""
    # Python flushes stdout once more at its exit, and would print a traceback without this.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
