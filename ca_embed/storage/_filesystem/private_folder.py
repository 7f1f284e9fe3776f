"""Refuses a folder in which other users of the machine could change or replace files.

Such a user could plant a link, and ca_embed would then write to a file that the link names.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def problem_of_parents(folder: Path) -> str | None:
    """Return why other users could replace the folder, and what to do about it. None if they cannot.

    A folder with the sticky bit, like /tmp, is accepted: there a user can only replace what is theirs.
    """
    for parent in dict.fromkeys([*folder.parents, *Path(os.path.realpath(folder)).parents]):
        status, quoted = parent.stat(), shlex.quote(str(parent))
        if status.st_uid not in (0, os.geteuid()):
            return (
                f"{parent} above it belongs to user {status.st_uid}, who could replace the folder: "
                f"run `chown root {quoted}`, or name a folder elsewhere"
            )
        if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            return (
                f"other users may write to {parent} above it, and could replace the folder: "
                f"run `chmod go-w {quoted}`, or `chmod +t {quoted}`"
            )
    return None


def problem_of_folder(folder: Path) -> str | None:
    """Return why other users could change files in the folder, and what to do. None if they cannot."""
    status, quoted = folder.stat(), shlex.quote(str(folder))
    if status.st_uid not in (0, os.geteuid()):
        return (
            f"it belongs to user {status.st_uid}, and this process runs as user {os.geteuid()}: run it as "
            f"that user, or run `chown -R {os.geteuid()} {quoted}`"
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        return f"other users may write to it: run `chmod go-w {quoted}`"
    return None
