"""The shipped file is current, small and typed, and can be imported without a browser."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.browser.tools import node

ROOT = Path(__file__).parents[2]
ASSET = ROOT / "ca_embed" / "assets" / "ca-embed.js"


def test_asset_is_current() -> None:
    """The file in the package is the one built from the source."""
    built = node("node", "js/build.mjs", "--check")
    assert built.returncode == 0, built.stderr


def test_asset_is_small() -> None:
    """With all its languages it has at most 9,000 bytes gzipped."""
    assert len(gzip.compress(ASSET.read_bytes(), 9, mtime=0)) <= 9000


def test_types_fit_the_use() -> None:
    """`tsc` accepts the right uses of the element and refuses the wrong ones."""
    checked = node("node", "js/node_modules/typescript/bin/tsc", "--project", "js/types")
    assert checked.returncode == 0, checked.stdout


def test_types_know_every_text() -> None:
    """The types have the name of each text."""
    types = (ROOT / "ca_embed/assets/ca-embed.d.ts").read_text("utf-8")
    names = json.loads((ROOT / "js/src/texts.json").read_text("utf-8"))
    assert [name for name in names if f"  {name}: string;" not in types] == []


@pytest.mark.parametrize(
    "way", ["import('./ca_embed/assets/ca-embed.js')", "require('./ca_embed/assets/ca-embed.js')"]
)
def test_import_without_a_window(way: str) -> None:
    """On a server, an import of the file defines nothing."""
    program = f"const load = async () => {way}; load().then(() => console.log(typeof CAEmbed))"
    ran = node("node", "--input-type=commonjs", "--eval", program)
    assert ran.stdout.strip() == "undefined", ran.stderr


def test_no_way_to_make_markup() -> None:
    """The shipped file has no code that parses markup, evaluates text or writes style attributes."""
    text = ASSET.read_text("utf-8")
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        '"style"',
        "cssText",
    ):
        assert forbidden not in text
