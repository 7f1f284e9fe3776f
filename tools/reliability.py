"""Writes the figures of a long test into its section of docs/reliability.md, and leaves the others alone.

    from tools.reliability import write_section

    write_section("history", markdown)

What it writes stands between `<!-- history -->` and `<!-- /history -->`. The text around the markers is
written by hand.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"


def write_section(name: str, markdown: str, page: Path = PAGE) -> None:
    """Replace what stands between the markers of a section. Raises ValueError if they are missing.

    Several programs may write their sections at the same time.
    """
    with page.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"{page} has no section {name!r}: add the lines {begin} and {end}")
        file.seek(0)
        file.truncate()
        file.write(f"{before}{begin}\n{markdown.strip()}\n{end}{after}")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
