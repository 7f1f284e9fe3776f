"""docs/security.md: each line of its tables names tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROVED = [line for line in TEXT.splitlines() if line.startswith("|") and "`tests/" in line]
IDS = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


@cache
def names_in(path: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize("named", IDS)
def test_the_test_exists(named: str) -> None:
    """A test that the page names is there."""
    path, _, name = named.partition("::")
    assert name in names_in(path) if name else names_in(path)


def sections(level: str) -> dict[str, list[str]]:
    """Return the rows of the table below each heading."""
    found = {}
    for section in re.split(rf"^{level} ", TEXT, flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| .+ \|$", section.partition("\n#")[0], re.MULTILINE)
        found[section.partition("\n")[0]] = rows[2:]
    return found


def test_every_line_is_proved() -> None:
    """Each line of the checklist and of STRIDE names a test, and no kind of threat is left out."""
    checklist = sections("##")["The checklist of ChatArchitect's guide"]
    threats = sections("###")
    assert len(checklist) == 8  # as the guide has
    assert [heading.partition(":")[0] for heading in threats] == [
        "Spoofing",
        "Tampering",
        "Repudiation",
        "Information disclosure",
        "Denial of service",
        "Elevation of privilege",
    ]
    rows = [*checklist, *(row for rows in threats.values() for row in rows)]
    assert len(rows) >= 40
    assert [row for row in rows if "`tests/" not in row.rpartition(" | ")[2]] == []


def test_every_reader_is_told() -> None:
    """The table of those who may try has them all."""
    who = " ".join(row.split(" | ")[0] for row in sections("##")["What each one can do"])
    for one in (
        "browser",
        "page",
        "iframe",
        "sender",
        "administrator",
        "backup",
        "tenant",
        "ChatArchitect",
        "operator",
    ):
        assert one in who
