"""docs/storage.md names exactly the public names of `ca_embed.storage`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ca_embed.storage

PAGE = (Path(__file__).parents[2] / "docs" / "storage.md").read_text(encoding="utf-8")
# Code spans may contain a call, such as `SQLiteStorage(path)`.
NAMED = {
    name
    for block in re.findall(r"```.*?```|`[^`\n]+`", PAGE, re.DOTALL)
    for name in re.findall(r"\w+", block)
}


@pytest.mark.parametrize("name", ca_embed.storage.__all__)
def test_public_name_is_described(name: str) -> None:
    """Each name in `__all__` is on the page."""
    assert name in NAMED


def test_described_names_are_public() -> None:
    """Each name that the page imports from ca_embed.storage, or that ends with Storage, is in `__all__`."""
    imported = {
        name.strip()
        for names in re.findall(r"^from ca_embed\.storage import (.+)$", PAGE, re.MULTILINE)
        for name in names.split(",")
    }
    qualified = set(re.findall(r"\bca_embed\.storage\.(\w+)", PAGE))
    of_examples = set(re.findall(r"^class (\w+)", PAGE, re.MULTILINE))
    storages = {name for name in NAMED if name.endswith("Storage")} - of_examples - {"RecordedStorage"}
    in_table = set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## Write your own")[2], re.MULTILINE))
    assert imported | qualified | storages | in_table <= set(ca_embed.storage.__all__)
    assert all((imported, qualified, storages, in_table))
