"""Drives one page: inserts the element, sends messages from the iframe, waits for a status."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.site import Site

PATIENCE = 30.0  # seconds; on a busy machine a page may need many
SCRIPT = '<script src="/ca-embed.js" defer></script>'
TYPE = "ca.whatsapp.registration"


class Tab:
    """A browser tab whose page has the element. Any server may serve the page."""

    def __init__(self, driver: WebDriver) -> None:
        self.driver = driver

    # --- acting

    def run(self, script: str, *values: Any) -> Any:
        """Run a script in which `a` is the first element, `shadow` its shadow root."""
        found = "const a = document.querySelector('ca-whatsapp-registration'), shadow = a?.shadowRoot;"
        return self.driver.execute_script(found + script, *values)

    def press(self, label: str) -> None:
        found = "[...shadow.querySelectorAll('.button')].find((each) => each.textContent === arguments[0])"
        self.until_true(lambda: self.run(f"return !!{found}", label), f"a button {label!r}")
        self.run(f"{found}.click()", label)

    def type_keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def escape(self) -> None:
        self.type_keys(Keys.ESCAPE)

    # --- looking

    @property
    def status(self) -> str:
        return str(self.run("return a?.status ?? 'no element'"))

    @property
    def text(self) -> str:
        return str(self.run("return shadow.querySelector('.panel').innerText"))

    @property
    def buttons(self) -> list[str]:
        return list(
            self.run("return [...shadow.querySelectorAll('.button')].map((each) => each.textContent)")
        )

    def listeners(self) -> int:
        """Return the number of listeners on window and document, as Chromium's developer tools count them."""
        total = 0
        for target in ("window", "document"):
            expression = f"Object.values(getEventListeners({target})).flat().length"
            command = {"expression": expression, "includeCommandLineAPI": True, "returnByValue": True}
            total += self.driver.execute_cdp_cmd("Runtime.evaluate", command)["result"]["value"]
        return total

    def until(self, status: str) -> Self:
        self.until_true(lambda: self.status == status, lambda: f"{status}, is {self.status}: {self.text!r}")
        return self

    def until_text(self, text: str) -> None:
        self.until_true(lambda: text in self.text, lambda: f"{text!r} in {self.text!r}")

    def until_true(self, holds: Callable[[], Any], what: str | Callable[[], str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not _is_true(holds):
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out waiting for {what if isinstance(what, str) else what()}")
            time.sleep(0.02)


def _is_true(holds: Callable[[], Any]) -> bool:
    """Tell whether it holds. The page may have replaced an element that is being looked at: then not yet."""
    try:
        return bool(holds())
    except StaleElementReferenceException:
        return False


class Page(Tab):
    """A page of the tests' own host application."""

    def __init__(self, driver: WebDriver, site: Site) -> None:
        super().__init__(driver)
        self.site = site

    # --- opening

    def element(self, attributes: str = "", identifier: str = "a") -> str:
        origin = f'iframe-origin="{self.site.partner}"'
        own = f'id="{identifier}" endpoint="/chatarchitect" {origin} {attributes}'
        return f"<ca-whatsapp-registration {own}></ca-whatsapp-registration>"

    def open(
        self, body: str | None = None, *, head: str = SCRIPT, query: str = "fast", path: str = "/page"
    ) -> Self:
        """Load the host's page with one element in it, or with `body`."""
        self.site.script.body = self.element() if body is None else body
        self.site.script.head = head
        self.driver.get(f"{self.site.host}{path}?{query}")
        return self

    def started(self, body: str | None = None, **options: Any) -> Self:
        """Open the page and start the registration. Return when the iframe is ready."""
        self.open(body, **options)
        self.run("a.start()")
        return self.until("in_progress")

    # --- messages from the iframe

    def message(self, event: str, identifier: str = "reg1", **more: Any) -> dict[str, Any]:
        return {"type": TYPE, "event": event, "registration_id": identifier, **more}

    def frame_says(self, event: str, identifier: str | None = None, **more: Any) -> None:
        """Let the element's own iframe post an event, by default about its own registration."""
        own = identifier or self.run("return new URL(a.iframe.src).searchParams.get('s')")
        self.frame_posts(self.message(event, own, **more))

    def frame_posts(self, message: Any, times: int = 1) -> None:
        """Let the element's own iframe post any message to the host page."""
        self.run(
            "a.iframe.contentWindow.postMessage({ say: arguments[0], times: arguments[1] }, '*')",
            message,
            times,
        )

    def settled(self) -> None:
        """Wait until the iframe has posted all messages, and the page has received them."""
        self.driver.execute_async_script("""
            const done = arguments[0];
            const { contentWindow } = document.querySelector('ca-whatsapp-registration').iframe;
            addEventListener('message', function receive({ data }) {
              if (data !== 'echo') return;
              removeEventListener('message', receive);
              requestAnimationFrame(() => requestAnimationFrame(() => done()));
            });
            contentWindow.postMessage({ say: 'echo' }, '*');
        """)

    # --- events on the page

    @property
    def height(self) -> str:
        return str(self.run("return a.iframe.style.height"))

    def heard(self, name: str | None = None) -> list[Any]:
        """Return the `ca-embed:` events so far: the details of those with that name, or the names of all."""
        heard = self.driver.execute_script("return window.heard")
        if name:
            return [each for each in heard if each["name"] == name]
        return [each["name"] for each in heard if each["name"] not in ("state", "closed")]
