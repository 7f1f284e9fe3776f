"""The figures of the long tests reach their own section of docs/reliability.md, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.reliability import PAGE, table, write_section

SECTIONS = ("history", "crash-points", "simulation", "interleavings", "failover", "fuzz")


def test_a_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    """Written twice, a section has the last text only, and every other line stands as before."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text())
    before = page.read_text().partition("<!-- history -->")[0]
    after = page.read_text().partition("<!-- /history -->")[2]
    write_section("history", "old", page)
    write_section("history", table(["storage", "lost"], [["files", 0]]), page)
    section = "\n| storage | lost |\n| --- | --- |\n| files | 0 |\n"
    assert page.read_text() == f"{before}<!-- history -->{section}<!-- /history -->{after}"


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    """A page without the markers is left as it is, and the error says what to add."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(ValueError, match="add the lines <!-- history -->"):
        write_section("history", "text", page)
    assert page.read_text() == "# Page\n"


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_has_a_section_for_each_tool(name: str) -> None:
    """Each long test finds its markers."""
    text = PAGE.read_text()
    assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1
