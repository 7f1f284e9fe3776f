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

_OF_DJANGO = ("--settings", "--pythonpath")  # manage.py has obeyed them already


class Command(_BaseCommand):
    """The commands of `ca-embed`: the same names, options, output and exit codes.

    `--embed SETTING` takes another Embed, the one of `embed_from_setting("SETTING")`.
    """

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
        parser.add_argument("--embed", metavar="SETTING")
        parser.add_argument("arguments", nargs=argparse.REMAINDER)

    def handle(self, *_: Any, arguments: list[str], embed: str | None = None, **__: Any) -> None:
        """Run one command for `call_command`. Raises CommandError for any other exit code than 0."""
        if embed is not None:
            arguments = ["--embed", embed, *arguments]
        with redirect_stdout(self.stdout._out), redirect_stderr(self.stderr._out):
            try:
                code = _run(arguments, "manage.py chatarchitect")
            except SystemExit as end:  # argparse has explained the usage, or shown the help
                code = int(end.code or 0)
        if code:
            message = f"chatarchitect ended with exit code {code}; stderr says why"
            raise CommandError(message, returncode=code)


def _run(arguments: list[str], prog: str) -> int:
    own, others = _own_options(arguments)
    app = f"ca_embed.adapters.django:embed_from_setting({own.get('--embed', 'CA_EMBED')!r})"
    return main(others, prog=prog, app=app)


def _own_options(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the values of the options that are not of `ca-embed`, by name, and the other arguments."""
    own: dict[str, str] = {}
    others: list[str] = []
    given = iter(arguments)
    for argument in given:
        name, equals, value = argument.partition("=")
        if name in (*_OF_DJANGO, "--embed"):
            own[name] = value if equals else next(given, "")
        else:
            others.append(argument)
    return own, others
