"""The adapter in the documentation, run as it stands there; and the table above it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ca_embed import adapters

DOCS = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
FOLDER = Path(adapters.__file__).parent

program: dict[str, Any] = {"__name__": __name__}
for block in re.findall(r"```python\n(.*?)```", DOCS.partition("## Write your own")[2], re.DOTALL):
    exec(block, program)

TestHouse = program["TestHouse"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_lines_of_adapters(path: Path) -> None:
    """The table has every adapter, with its lines, and none is longer than a screen or two."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < 90
    assert re.search(rf"^\|[^|]*\|[^|]*\| {lines} \|[^|]*{path.stem}\.", DOCS, re.MULTILINE)
