"""What commands print: data to stdout, as text for people or as JSON for programs; the rest to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime


class WrongUsage(Exception):
    """The command cannot be run as it was typed. The message says how it can."""


def say(words: str) -> None:
    """Tell the operator something that is not the command's data."""
    print(words, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print one JSON document on a line of its own."""
    print(json.dumps(value, default=_plain), flush=True)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        print(f"{name:<{width}}  {_shown(value)}".rstrip(), flush=True)


def print_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a heading, in columns as wide as they need to be."""
    lines = [list(names), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def one_line(text: str) -> str:
    """Return the text as one line that no terminal takes for commands."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return one_line(str(value))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
