"""Languages, replaced texts, and accessibility."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.page import SCRIPT, Page
from tests.browser.screenshots import BODY, INLINE, MODAL, release, show
from tests.browser.site import Site

TABLE = json.loads((Path(__file__).parents[2] / "js/src/texts.json").read_text("utf-8"))
TEXTS = {lang: {name: row[lang] for name, row in TABLE.items()} for lang in ("de", "en", "es", "pt", "ru")}
AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"


@pytest.mark.parametrize("lang", sorted(TEXTS))
def test_every_language_arrives_whole(page: Page, site: Site, lang: str) -> None:
    """Each language is shown as written in its table, and the session has the same language."""
    page.open(page.element(f'lang="{lang}"')).run("a.start()")
    page.until("in_progress")
    assert site.script.created()[0].body == {"lang": lang}
    assert page.run("return shadow.querySelector('.box').lang") == lang
    texts = TEXTS[lang]
    for code in ("failed", "cancelled"):
        page.frame_says(code)
        page.until(code)
        assert texts[code] in page.text
        assert texts["over"] in page.buttons
        page.press(texts["over"])
        page.until("in_progress")


def test_texts_are_complete() -> None:
    """All languages have the same texts, and none is empty."""
    assert len(TEXTS) == 5
    assert {tuple(texts) for texts in TEXTS.values()} == {tuple(TEXTS["en"])}
    assert all(text.strip() == text != "" for texts in TEXTS.values() for text in texts.values())


@pytest.mark.parametrize(
    ("element", "page_lang", "spoken"),
    [
        ("pt-BR", "de", "pt"),
        ("pt_BR", "de", "pt"),
        (" DE ", "es", "de"),
        ("", "RU-ru", "ru"),
        ("", "es_MX", "es"),
        ("fr", "de", "en"),
        ("constructor", "de", "en"),
        ("__proto__", "de", "en"),
        ("", "toString", "en"),
        ("", "", "en"),
    ],
)
def test_choice_of_language(page: Page, element: str, page_lang: str, spoken: str) -> None:
    """The element's `lang` comes first, then the page's, then the browser's. An unknown one is English."""
    set_lang = f"<script>document.documentElement.lang = '{page_lang}'</script>"
    page.open(page.element(f'lang="{element}"' if element else ""), head=set_lang + SCRIPT)
    page.until("idle").until_text(TEXTS[spoken]["idle"])


@pytest.mark.parametrize("lang", ["pt_BR", "fr", "constructor"])
def test_the_backend_hears_of_every_language(page: Page, site: Site, lang: str) -> None:
    """The backend gets the requested language unchanged, and chooses its own default."""
    page.started(page.element(f'lang="{lang}"'))
    assert site.script.created()[0].body == {"lang": lang}


def test_language_changes_in_place(page: Page) -> None:
    """After a change of `lang` the element shows the other language at once."""
    page.open().until("idle").run("a.lang = 'es'")
    page.until_text(TEXTS["es"]["idle"])


def test_overrides(page: Page) -> None:
    """The host can replace texts: of the page by language, or of one element in every language."""
    head = "<script>window.CAEmbed = { texts: { en: { start: 'Go!', idle: 'Our title' } } }</script>"
    page.open(head=head + SCRIPT).until("idle").until_text("Our title")
    assert page.buttons == ["Go!"]
    page.run("a.texts = { start: 'Onwards <b>', intro: 'In two minutes.' }; a.lang = 'en'")
    assert page.buttons == ["Onwards <b>"]
    assert "In two minutes." in page.text


def test_a_code_that_names_no_text(page: Page, site: Site) -> None:
    """An error code that is also the name of a property of every object is shown like any other."""
    site.script.create_error = (400, {"code": "constructor"})
    page.open().until("idle").run("a.start()")
    page.until("error").until_text(TEXTS["en"]["error"])


def test_properties(page: Page) -> None:
    """Frameworks find properties to set. A property set before the script is loaded is used too."""
    page.open(head="").run("a.texts = { start: 'Early' }")
    page.run("document.head.append(Object.assign(document.createElement('script'), { src: '/ca-embed.js' }))")
    page.until("idle")
    page.until_true(lambda: page.buttons == ["Early"], lambda: f"the early text, is {page.buttons}")
    assert page.run("const fresh = a.cloneNode(); return 'headers' in fresh && 'texts' in fresh")


def test_status_is_announced(page: Page) -> None:
    """The live region stays the same node, so that screen readers announce changes."""
    page.open().until("idle").run("window.region = shadow.querySelector('[role=status]'); a.start()")
    page.until("in_progress").frame_says("completed")
    page.until("finishing")
    assert page.run("return shadow.querySelector('[role=status]') === region")
    assert TEXTS["en"]["finishing"] in page.run("return region.textContent")


def test_focus_is_not_lost(page: Page) -> None:
    """When the pressed button is removed, the focus stays in the element."""
    page.open().until("idle").run("shadow.querySelector('.button').focus()")
    page.press("Get started")
    page.until("in_progress")
    assert page.run("return document.activeElement === a && shadow.activeElement.className") == "panel"


LOOKS = {"light": ("ltr", 1000, 900), "dark": ("rtl", 500, 420)}  # the direction, and the size of the window


def test_accessibility_of_every_state(page: Page, site: Site) -> None:
    """axe-core finds no violation in any state: inline and modal, light and dark, large and as at 400 %."""
    found = {}
    for mode, state in [("inline", each) for each in INLINE] + [("modal", each) for each in MODAL]:
        show(page, site, BODY + page.element(f'mode="{mode}"'), state)
        page.driver.execute_script(AXE.read_text())
        for scheme, (direction, width, height) in LOOKS.items():
            page.driver.set_window_size(width, height)
            page.run("document.documentElement.style.colorScheme = arguments[0]", scheme)
            page.run("document.documentElement.dir = arguments[0]", direction)
            found[mode, state.__name__, scheme] = violations(page)
        page.driver.set_window_size(1000, 900)
        release(site)
    assert {key: value for key, value in found.items() if value} == {}


def violations(page: Page) -> list[str]:
    """Return the violations that axe-core finds, except in the iframe's own page, which is not ours."""
    return list(
        page.driver.execute_async_script("""
            const done = arguments[0];
            const tell = ({ id, nodes }) => nodes.map((node) => id + node.html + node.failureSummary);
            axe.run(document, { iframes: false }).then(({ violations }) => done(violations.flatMap(tell)));
        """)
    )
