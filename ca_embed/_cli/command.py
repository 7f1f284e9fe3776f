"""Types of arguments that several commands share."""

from __future__ import annotations

import argparse
import math
from typing import TypeAlias

# argparse has no public name for what `add_subparsers` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]


def port_number(text: str) -> int:
    """Return a TCP port. Raises ArgumentTypeError. Port 0 takes a free one."""
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535; 0 takes a free one")
    return int(text)


def pause_seconds(text: str) -> float:
    """Return a pause in seconds. Raises ArgumentTypeError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError("give a number of seconds, more than 0 and at most 86400 (a day)")
    return seconds
