"""Random orders of messages, answers, clicks and moves: there is always a way on, and no false success."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.page import TYPE, Page
from tests.browser.site import Site
from tests.browser.test_flow import DONE

STEPS = 70
PATIENCE = 5.0  # seconds until a state that lets the user wait must have ended
EVENTS = ("ready", "phone_verified", "facebook_started", "completed", "failed", "cancelled")
ANSWERS = (
    {"status": "started"},
    {"status": "phone_verified"},
    {"status": "expired"},
    DONE,
    (401, {"status": "error", "code": "not_signed_in", "message": "Sign in."}),
    (503, {"status": "error", "code": "storage_unavailable", "message": "Later."}),
)

# What the user can press, and whether the form is in sight.
SIGHT = """
const seen = (each) => each.checkVisibility({ visibilityProperty: true });
const root = a.iframe?.getRootNode() ?? shadow;
const buttons = [...root.querySelectorAll('.button, .quiet, .close')].filter(seen);
return { buttons: buttons.length, status: a.status, title: root.querySelector('.title').textContent };
"""
PRESS = """
const seen = (each) => each.checkVisibility({ visibilityProperty: true });
const buttons = [...shadow.querySelectorAll('button')].filter(seen);
buttons[arguments[0] % buttons.length]?.click();
"""
SAY = """
const source = a?.iframe?.src; // read once: there may be no iframe
if (!source) return;
const registration_id = new URL(source).searchParams.get('s');
const say = { type: arguments[1], event: arguments[0], registration_id };
a.iframe.contentWindow.postMessage({ say, times: 1 }, '*');
"""
SCRIPTS = {
    "move": "if (a) document.querySelector('main').append(a)",
    "focus": "dispatchEvent(new Event('focus'))",
    "close": "a?.close()",
    "return": "if (a) { a.remove(); setTimeout(() => document.querySelector('main').append(a), 300) }",
    "reload": "location.reload()",
}


@pytest.fixture
def browser(browser_of: Callable[[str], WebDriver]) -> WebDriver:
    """Return Chromium, the only engine of this test."""
    return browser_of("chromium")


@pytest.mark.parametrize("mode", ["inline", "modal"])
def test_any_order(page: Page, site: Site, mode: str) -> None:
    """In any order of events the user has a way on, and sees no success that the backend did not say."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    page.open(page.element(f"mode={mode}")).until("idle")
    done: list[str] = []
    for _ in range(STEPS):
        done.append(step(page, site, chance))
        check(page, site, f"seed {seed}, after {done[-8:]}")


def step(page: Page, site: Site, chance: random.Random) -> str:
    """Do one random thing, and return its name."""
    kind = chance.choices(["press", "say", "answer", *SCRIPTS], [8, 6, 4, 1, 2, 1, 1, 1])[0]
    if kind == "press":
        page.run(PRESS, chance.randrange(8))
    elif kind == "say":
        kind = chance.choice(EVENTS)
        page.run(SAY, kind, TYPE)
    elif kind == "answer":
        identifier = f"reg{max(1, len(site.script.created()))}"
        if site.script.statuses.get(identifier) != DONE:  # what is completed stays so
            site.script.statuses[identifier] = chance.choice(ANSWERS)
            kind = f"answer {site.script.statuses[identifier]}"
    else:
        page.run(SCRIPTS[kind])
    return kind


def check(page: Page, site: Site, when: str) -> None:
    """Fail if there is no way on after a while, or if a success is shown that the backend did not say."""
    deadline = time.monotonic() + PATIENCE
    while True:
        sight = page.run("if (!shadow) return null;" + SIGHT)
        if sight and sight["status"] == "connected":
            said = [each for each in site.script.statuses.values() if each == DONE]
            assert said, f"a false success, {when}"
        if sight and sight["buttons"]:
            return
        assert time.monotonic() < deadline, f"no way on from {sight}, {when}"
        time.sleep(0.05)
