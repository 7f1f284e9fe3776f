"""The tables of `docs/page.md` say what the source of the element has."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/page.md").read_text("utf-8")
SOURCE = {path.name: path.read_text("utf-8") for path in (ROOT / "js/src").glob("*.*")}
TYPES = (ROOT / "ca_embed/assets/ca-embed.d.ts").read_text("utf-8")


def named(head: str) -> set[str]:
    """Return the names in the first column of the table with that head."""
    _, _, table = PAGE.partition(f"\n| {head} |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_events() -> None:
    """The table has each event of the types."""
    assert named("event") == set(re.findall(r"'(ca-embed:\w+)': CustomEvent", TYPES))


def test_states() -> None:
    """The table has each state of the types."""
    union = TYPES.partition("type VisibleState =")[2].partition(";")[0]
    union += TYPES.partition("type RegistrationStatus =")[2].partition(";")[0]
    assert named("state") == set(re.findall(r"'(\w+)'", union))


def test_codes() -> None:
    """The table has each code that the element itself gives an error."""
    code = "\n".join(SOURCE.values())
    assert named("code") == set(re.findall(r"code: '(\w+)'", code)) | set(
        re.findall(r"\?\? '(bad_\w+)'", code)
    )


def test_properties() -> None:
    """The table has each property of the style sheet."""
    assert named("property") == set(re.findall(r"--ca-[\w-]+", SOURCE["style.css"]))


def test_parts() -> None:
    """The table has each part."""
    made = re.findall(r"createPart\('\w+', '([\w ]+)'", SOURCE["view.js"] + SOURCE["iframe.js"])
    assert named("part") == set(made) | {"button", "primary", "secondary"}


def test_texts() -> None:
    """The table has each text, in English, with its note."""
    for name, row in json.loads(SOURCE["texts.json"]).items():
        assert f"| `{name}` | {row['en']} | {row['note']} |" in PAGE
