"""The demo as a person sees it: Chromium on the CRM's page, the sandbox in the iframe and in the popup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from ca_embed._cli.demo_sites import Demo, running
from tests.browser import engines

ELEMENT = "ca-whatsapp-registration"


@pytest.fixture(scope="module")
def chromium() -> Iterator[WebDriver]:
    """Start Chromium once."""
    with engines.running("chromium") as driver:
        driver.set_window_size(1100, 1000)
        yield driver


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """Run both sides."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running() as demo:
        yield demo


class Visitor:
    """A person who clicks through the demo."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.page = driver.current_window_handle

    def until(self, ready: Any) -> Any:
        return WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: ready())

    def shown(self, by: str, what: str) -> Any:
        """Wait until an element is visible and enabled, and return it."""

        def find() -> Any:
            found = [one for one in self.driver.find_elements(by, what) if one.is_displayed()]
            return found[0] if found and found[0].is_enabled() else None

        return self.until(find)

    def start(self) -> None:
        """Click the element's button, and switch to the iframe."""
        root = self.driver.find_element(By.TAG_NAME, ELEMENT).shadow_root
        self.until(lambda: root.find_elements(By.CSS_SELECTOR, "button"))
        root.find_element(By.CSS_SELECTOR, "button").click()
        self.until(lambda: self.status() == "in_progress")
        self.driver.switch_to.frame(root.find_element(By.CSS_SELECTOR, "iframe"))

    def fill_in(self) -> None:
        """Fill in phone, code and form."""
        for field, text, button in (
            ("phone", "+421 233 221 242", "send-code"),
            ("code", "123456", "verify-code"),
            ("business", "Alder Ltd", "submit-form"),
        ):
            self.shown(By.ID, field).send_keys(text)
            self.driver.find_element(By.ID, button).click()

    def end_signup(self, outcome: str) -> None:
        """Open Meta's window, end the signup there, and switch back to the page."""
        self.shown(By.ID, "connect-whatsapp").click()
        self.until(lambda: len(self.driver.window_handles) == 2)
        (popup,) = set(self.driver.window_handles) - {self.page}
        self.driver.switch_to.window(popup)
        self.shown(By.ID, "facts")  # the last to come; until then the buttons move
        self.shown(By.ID, f"meta-{outcome}").click()
        self.until(lambda: len(self.driver.window_handles) == 1)
        self.driver.switch_to.window(self.page)

    def status(self) -> str:
        """Return the text of the element."""
        self.driver.switch_to.default_content()
        return str(self.driver.execute_script(f"return document.querySelector('{ELEMENT}').status"))

    def listed(self) -> list[str]:
        """Return the texts of the CRM's list, read in one step, because the page replaces rows."""
        cells = "[...document.querySelectorAll('#registrations td')]"
        return list(self.driver.execute_script(f"return {cells}.map((cell) => cell.innerText)"))


@pytest.mark.parametrize("deliveries", ["normal", "lost"])
def test_from_click_to_connected(chromium: WebDriver, demo: Demo, deliveries: str) -> None:
    """The registration is connected and listed as completed, even if the webhook never comes."""
    demo.sandbox.knobs.update({"deliveries": deliveries})
    chromium.get("about:blank")
    chromium.get_log("browser")  # of the page before, whose server has ended
    visitor = Visitor(chromium, demo.url)
    visitor.start()
    visitor.fill_in()
    visitor.end_signup("finish")
    visitor.until(lambda: visitor.status() == "connected")
    visitor.until(lambda: "completed" in visitor.listed())
    (session,) = demo.sandbox.sessions

    assert visitor.listed()[:2] == [session.registration_id, "+421233221242"]
    credentials = demo.embed.credentials(session.registration_id)
    assert credentials is not None
    assert credentials.app_secret == demo.sandbox.secret_of(session.registration_id)
    assert not [
        1 for secret in (credentials.app_secret, credentials.app_id) if secret in chromium.page_source
    ]
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_second_thoughts(chromium: WebDriver, demo: Demo) -> None:
    """After cancelling Meta's signup the user is not connected, and can try again and finish."""
    visitor = Visitor(chromium, demo.url)
    visitor.start()
    visitor.fill_in()
    visitor.end_signup("cancel")
    visitor.until(lambda: visitor.status() == "cancelled")
    assert "completed" not in visitor.listed()

    visitor.start()
    visitor.end_signup("finish")
    visitor.until(lambda: visitor.status() == "connected")
    visitor.until(lambda: "completed" in visitor.listed())
