"""Warn of a storage whose files do not outlive the container or the machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ca_embed._cli.doctor.finding import Finding, warn

PLACE = "storage: place"

_MOUNTS = Path("/proc/self/mountinfo")
_LOST = {
    **dict.fromkeys(
        ("overlay", "aufs", "fuse.fuse-overlayfs"),
        ("a container's own layer", "is lost when the container is replaced"),
    ),
    **dict.fromkeys(("tmpfs", "ramfs"), ("in memory", "is lost at a restart")),
}


def check_place(path: Path | None) -> Iterator[Finding]:
    """Warn if the storage keeps its files in a container's layer or in memory.

    path: of the files; None for a storage without files, which yields nothing.
    """
    if path is None:
        return
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux
        return
    kind = file_system_of(path, mounts)
    if kind in _LOST:
        place, consequence = _LOST[kind]
        yield warn(
            PLACE,
            f"{path} is {place} ({kind}): what is stored {consequence}",
            "Put it on a volume or a disk, or use a database.",
        )


def file_system_of(path: Path, mounts: str) -> str:
    """Return the type of the file system that holds the path, or "". mounts: /proc/self/mountinfo."""
    real = os.path.realpath(path)
    found, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        # A later mount at the same point hides the earlier one.
        if len(point) >= len(found) and (real + "/").startswith(point.rstrip("/") + "/"):
            found, kind = point, after.split(" ")[0]
    return kind
