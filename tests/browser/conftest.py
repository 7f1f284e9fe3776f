"""The fixtures: one browser per engine for the whole session, and a new page for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.engines import ENGINES, display, running
from tests.browser.page import Page
from tests.browser.site import Script, Site


@pytest.fixture(scope="session")
def browser_of() -> Iterator[Callable[[str], WebDriver]]:
    """Return what starts the browser of an engine when it is first asked for, and keeps it."""
    with ExitStack() as opened:

        @cache
        def started(engine: str) -> WebDriver:
            opened.enter_context(display())
            driver = opened.enter_context(running(engine))
            driver.set_window_size(1000, 900)
            driver.set_script_timeout(90)
            _started.append(driver)
            return driver

        yield started
        _started.clear()


_started: list[WebDriver] = []


@pytest.fixture(scope="module", autouse=True)
def rest() -> Iterator[None]:
    """Leave an empty page after each file: an animation would take a core from all tests that follow."""
    yield
    for driver in _started:
        driver.get("about:blank")


@pytest.fixture(scope="session", params=ENGINES)
def browser(request: pytest.FixtureRequest, browser_of: Callable[[str], WebDriver]) -> Iterator[WebDriver]:
    """Return a browser, of each engine in turn. While another one is tested, it does nothing."""
    driver = browser_of(request.param)
    yield driver
    driver.get("about:blank")


@pytest.fixture(scope="session")
def site_for_all() -> Iterator[Site]:
    """Return the two servers that all tests share."""
    site = Site()
    yield site
    site.close()


@pytest.fixture
def site(site_for_all: Site) -> Site:
    """Return the host and ChatArchitect with their default behaviour."""
    site_for_all.script = Script()
    return site_for_all


@pytest.fixture
def page(browser: WebDriver, site: Site) -> Page:
    """Return a browser without any trace of earlier tests."""
    browser.get(site.host + "/empty")
    browser.execute_script("sessionStorage.clear(); document.cookie = 'csrftoken=; max-age=0'")
    return Page(browser, site)
