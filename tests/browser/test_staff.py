"""The operator's page in Chromium: what a person does there, and what axe-core finds on it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from ca_embed import Embed
from ca_embed.sandbox import Sandbox
from ca_embed.testing._servers import serve_wsgi
from tests.browser import engines

AXE = Path(__file__).parents[2] / "js/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="module")
def chromium() -> Iterator[WebDriver]:
    """Start Chromium once, as wide as a phone."""
    with engines.running("chromium") as driver:
        driver.set_script_timeout(90)
        metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)  # type: ignore[attr-defined]
        yield driver


@pytest.fixture
def desk() -> Iterator[tuple[Embed, Sandbox]]:
    """Serve an Embed whose visitors are all of the staff."""
    with Sandbox() as sandbox, socket.create_server(("127.0.0.1", 0)) as listener:
        embed = Embed(
            base_url=sandbox.base_url,
            partner_token=sandbox.partner_token,
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            storage="memory:",
            encryption_keys="fake-encryption-key-of-a-test",
            staff=lambda _: "Ada",
        )
        with serve_wsgi(embed.wsgi, listener):
            yield embed, sandbox
        embed.close()


def test_from_search_to_forgotten(chromium: WebDriver, desk: tuple[Embed, Sandbox]) -> None:
    """A person finds a number and acts on it without a script. Each page is accessible, light and dark."""
    embed, sandbox = desk

    @embed.on_completed(name="connect")
    def connect(*_: object) -> None:
        raise ValueError

    registration_id = embed.create_session("user_456").registration_id
    sandbox.complete(registration_id)
    chromium.get(f"{embed._core.settings.public_url}/staff")
    found = {"start": violations(chromium)}
    chromium.find_element(By.ID, "wanted").send_keys(sandbox.session(registration_id).phone)
    press(chromium, "Find")
    found["search"] = violations(chromium)
    press(chromium, registration_id)
    found["registration"] = violations(chromium)
    press(chromium, "Run all again")
    assert "The handlers are due again." in text(chromium)
    found["notice"] = violations(chromium)
    press(chromium, "Forget the user")
    found["question"] = violations(chromium)
    press(chromium, "Forget the user")
    assert "All registrations of this user are erased." in text(chromium)
    assert embed.registrations("user_456") == []
    assert found == {name: [] for name in found}


def press(driver: WebDriver, label: str) -> None:
    """Press the button or link of this label, and wait for the next page."""
    path = f"//main//*[self::a or self::button][normalize-space()='{label}']"
    old = driver.find_element(By.TAG_NAME, "main")
    driver.find_element(By.XPATH, path).click()
    WebDriverWait(driver, 20, poll_frequency=0.05).until(lambda _: is_gone(driver, old.id))


def is_gone(driver: WebDriver, element_id: str) -> bool:
    """Tell whether another page has been loaded."""
    ready = driver.execute_script("return document.readyState") == "complete"
    return bool(ready and driver.find_element(By.TAG_NAME, "main").id != element_id)


def text(driver: WebDriver) -> str:
    """Return the text of the page."""
    return driver.find_element(By.TAG_NAME, "main").text


def violations(driver: WebDriver) -> list[str]:
    """Return what axe-core finds in either scheme, and whether the page is wider than the phone."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})  # type: ignore[attr-defined]
        driver.execute_script(AXE.read_text())
        found += driver.execute_async_script("""
            const done = arguments[0];
            const tell = ({ id, nodes }) => nodes.map((node) => id + node.html + node.failureSummary);
            axe.run(document).then(({ violations }) => done(violations.flatMap(tell)));
        """)
    if driver.execute_script("return document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the screen")
    return found
