"""The theming page in the docs: a file that needs no server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import Select

from tests.browser.theme_screenshots import SCHEMES, THEMES, open_theme

ROOT = Path(__file__).parents[2]
ACCENT = "return getComputedStyle(document.querySelector('#idle')).getPropertyValue('--ca-accent').trim()"


def test_every_property_is_there() -> None:
    """The page has a control and a row for each property of the element."""
    page = (ROOT / "docs" / "theming.html").read_text("utf-8")
    properties = set(re.findall(r"--ca-[a-z-]+", (ROOT / "js" / "src" / "style.css").read_text("utf-8")))
    assert properties
    for name in properties:
        assert f'name="{name}"' in page
        assert f"<td><code>{name}</code></td>" in page


def test_pick(browser: WebDriver) -> None:
    """What is picked shows at once, and is the CSS to copy. The states show without a server."""
    open_theme(browser, "indigo", "dark")
    assert browser.execute_script(ACCENT) == "#4338ca"
    states = "return ['idle', 'creating', 'error'].map((id) => document.querySelector('#' + id).status)"
    assert browser.execute_script(states) == ["idle", "creating", "error"]
    background = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(background) == "rgb(14, 17, 20)"
    browser.execute_script("""
        const accent = document.forms[0].elements['--ca-accent'];
        accent.value = '#123456';
        accent.dispatchEvent(new InputEvent('input', { bubbles: true }));""")
    assert browser.execute_script(ACCENT) == "#123456"
    css = "ca-whatsapp-registration {\n  --ca-accent: #123456;\n  --ca-radius: 8px;\n}"
    assert browser.execute_script("return document.querySelector('#css').textContent") == css
    Select(browser.find_element("name", "preset")).select_by_visible_text("default")
    assert "nothing to set" in browser.find_element("id", "css").text


@pytest.mark.parametrize("theme", THEMES)
def test_themes(theme: str) -> None:
    """The pictures show each theme that the page has."""
    page = (ROOT / "docs" / "theming.html").read_text("utf-8")
    presets = re.search(r"const PRESETS = \{(.*?)\n  \};", page, re.DOTALL)
    assert presets is not None
    assert theme in re.findall(r"^    (\w+):", presets[1], re.MULTILINE)
    assert len(THEMES) * len(SCHEMES) == 10
