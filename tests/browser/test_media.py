"""Forced colours and reduced motion, which Chromium can emulate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser import screenshots
from tests.browser.engines import running
from tests.browser.hosted import open_hosted_page
from tests.browser.page import Page
from tests.browser.screenshots import BODY, release, show
from tests.browser.sight import contrasts
from tests.browser.site import Site


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    """Return Chromium, the only engine of these tests."""
    with running("chromium") as driver:
        driver.set_window_size(800, 900)
        yield driver


def ask_for(page: Page, **features: str) -> None:
    """Emulate media features that the user's system asks for."""
    asked = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": asked})


ELEMENT = [f"inline {name}" for name in ("idle", "creating", "connected", "blocked")]
ELEMENT += [f"modal {name}" for name in ("in_progress", "asking")]
WORDS = {  # what must be visible, besides the buttons
    "inline creating": {"One moment…", "border: box creating busy"},
    "modal in_progress": {"Connect WhatsApp", "\u00d7", "focus ring", "border: dialog"},
    "modal asking": {"Stop the registration?", "\u00d7", "focus ring", "border: dialog"},
}


@pytest.mark.parametrize("state", ELEMENT)
def test_forced_colours(page: Page, site: Site, state: str) -> None:
    """In forced colours, dark and light, each text, border and focus ring of the element has contrast."""
    mode, name = state.split()
    show(page, site, BODY + page.element(f'mode="{mode}"'), getattr(screenshots, name))
    assert WORDS.get(state, set()) | set(page.buttons) <= seen_in_forced_colours(page)
    release(site)


def test_forced_colours_of_the_hosted_page(page: Page) -> None:
    """In forced colours, the hosted page and the element in it have contrast too."""
    open_hosted_page(page)
    lead = "Register the number to send messages from here."
    words = {"Your WhatsApp number", lead, "Connect WhatsApp", "Get started"}
    words |= {"About 5 minutes. Have your phone and Facebook ready.", "border: button primary"}
    assert words | {"border: box idle", "focus ring"} == seen_in_forced_colours(page)


def seen_in_forced_colours(page: Page) -> set[str]:
    """Return everything visible. Fails if the contrast of anything is below 4.5."""
    for scheme in ("dark", "light"):
        ask_for(page, forced_colors="active", prefers_color_scheme=scheme)
        seen = contrasts(page)
        assert {what: ratio for what, ratio in seen.items() if ratio < 4.5} == {}, scheme
    return set(seen)


@pytest.mark.parametrize("name", ["creating", "finishing"])
def test_reduced_motion(page: Page, site: Site, name: str) -> None:
    """The turning icon stands still if the user prefers reduced motion."""
    show(page, site, page.element(), getattr(screenshots, name))
    moving = "return shadow.getAnimations().length + document.getAnimations().length"
    ask_for(page, prefers_reduced_motion="no-preference")
    assert page.run(moving) == 1
    ask_for(page, prefers_reduced_motion="reduce")
    assert page.run(moving) == 0
    release(site)
