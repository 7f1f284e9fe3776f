"""The output of commands. Data goes to stdout, as text or as JSON; everything else goes to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime


class WrongUsage(Exception):
    """The arguments of the command are wrong. The message says how to fix them."""


def say(text: str) -> None:
    """Print a line for the operator to stderr."""
    print(text, file=sys.stderr, flush=True)


def confirmed(question: str) -> bool:
    """Ask on the terminal, and return whether the answer is yes.

    Raises WrongUsage if there is no terminal to ask on.
    """
    if not sys.stdin.isatty():
        raise WrongUsage("this command asks before it erases, and there is no terminal here; give --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def print_json(value: object) -> None:
    """Print one JSON document in one line."""
    print(json.dumps(value, default=_json_default), flush=True)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one name and its value per line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name:<{width}}  {_text(value)}".rstrip(), flush=True)


def print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a heading, in aligned columns."""
    lines = [list(names), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def one_line(text: str) -> str:
    """Return the text in one line, without control characters, which a terminal could obey."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return one_line(str(value))


def _json_default(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"JSON has no form for {type(value).__name__}")
