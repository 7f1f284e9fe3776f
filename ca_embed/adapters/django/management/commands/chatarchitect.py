"""`manage.py chatarchitect COMMAND`: the commands of `ca-embed`, with your settings and your handlers."""

from __future__ import annotations

import argparse
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from ca_embed._cli import main

if TYPE_CHECKING:

    class _BaseCommand:  # Django has no type information
        stdout: Any
        stderr: Any

else:
    from django.core.management.base import BaseCommand as _BaseCommand

_APP = "ca_embed.adapters.django:embed"
_OF_DJANGO = ("--settings", "--pythonpath")  # manage.py has obeyed them already


class Command(_BaseCommand):
    """The commands of `ca-embed`: the same names, options, output and exit codes."""

    help = "Manages WhatsApp registrations with ChatArchitect, as `ca-embed` does."
    requires_system_checks: Any = ()  # a wrong setting is told by the command itself

    def run_from_argv(self, argv: list[str]) -> None:
        """Run `manage.py chatarchitect ...` and end with the exit code of `ca-embed`."""
        try:
            raise SystemExit(_run(argv[2:], " ".join(argv[:2])))
        finally:
            connections.close_all()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take all arguments as they are, for `call_command`."""
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_: Any, arguments: list[str], **__: Any) -> None:
        """Run one command for `call_command`. Raises CommandError for any other exit code than 0."""
        with redirect_stdout(self.stdout._out), redirect_stderr(self.stderr._out):
            try:
                code = _run(arguments, "manage.py chatarchitect")
            except SystemExit as end:  # argparse has explained the usage, or shown the help
                code = int(end.code or 0)
        if code:
            message = f"chatarchitect ended with exit code {code}; stderr says why"
            raise CommandError(message, returncode=code)


def _run(arguments: list[str], prog: str) -> int:
    return main(_without_options_of_django(arguments), prog=prog, app=_APP)


def _without_options_of_django(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument in _OF_DJANGO:
            next(given, None)  # its value
        elif argument.partition("=")[0] not in _OF_DJANGO:
            kept.append(argument)
    return kept
