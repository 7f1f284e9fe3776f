"""Measures the element: `python -m benchmarks.element`.

It prints the element's size after gzip beside the files of other embeds, how many listeners remain after
its removal, and how long a click takes to show the iframe. The other sizes are those of the published
files in the named versions. These files have different tasks.
"""

from __future__ import annotations

import gzip
import statistics

from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser.engines import start
from tests.browser.page import Page
from tests.browser.site import ASSET, Script, Site

ROUNDS = 15
PUBLISHED = (  # bytes after gzip -9 -n, November 2026
    ("@nangohq/frontend 0.71.10, connectUI.js", 1306),
    ("postmate 1.5.2", 1610),
    ("@open-iframe-resizer/core 2.1.0", 2342),
    ("react-plaid-link 5.0.0", 2952),
    ("@stripe/connect-js 3.4.6", 3144),
    ("penpal 7.0.6", 3753),
    ("360dialog-connect-button 1.0.2", 4362),
    ("@iframe-resizer/parent 5.5.9", 10349),
    ("@typeform/embed 6.1.1", 14215),
    ("@calcom/embed-core 1.5.3", 17219),
    ("@krakenjs/zoid 10.6.0, zoid.frame", 25259),
)

CLICK_TO_FRAME = """
const done = arguments[0], a = document.querySelector('ca-whatsapp-registration');
const button = a.shadowRoot.querySelector('.button');
const begun = performance.now();
a.addEventListener('ca-embed:ready', () => requestAnimationFrame(() => done(performance.now() - begun)));
button.click();
"""


def main() -> None:
    """Print all figures."""
    show_sizes()
    site, driver = Site(), start("chromium")
    try:
        show_listeners(driver, site)
        show_time(driver, site)
    finally:
        driver.quit()
        site.close()


def show_sizes() -> None:
    """Print the sizes, smallest first."""
    own = len(gzip.compress(ASSET.read_bytes(), 9, mtime=0))
    print("JavaScript, bytes after gzip -9")
    for name, size in sorted(
        [("ca_embed (element, dialog, five languages)", own), *PUBLISHED], key=lambda row: row[1]
    ):
        print(f"  {size:6,}  {name}")


def show_listeners(driver: WebDriver, site: Site) -> None:
    """Print how many listeners remain on window and document after an element was used and removed."""
    page = fresh(driver, site, "<section></section>")
    before = listeners(driver)
    page.run("document.querySelector('section').innerHTML = arguments[0]", page.element())
    page.until("idle").run("a.start()")
    page.until("in_progress").run("a.remove()")
    print(f"listeners left after removal: {listeners(driver) - before}")


def listeners(driver: WebDriver) -> int:
    """Return how many listeners window and document have, as the developer tools count them."""
    total = 0
    for target in ("window", "document"):
        expression = f"Object.values(getEventListeners({target})).flat().length"
        command = {"expression": expression, "includeCommandLineAPI": True, "returnByValue": True}
        total += driver.execute_cdp_cmd("Runtime.evaluate", command)["result"]["value"]
    return total


def show_time(driver: WebDriver, site: Site) -> None:
    """Print the time from the click to the first frame painted after the iframe's `ready`."""
    times = []
    for _ in range(ROUNDS):
        fresh(driver, site).until("idle")
        times.append(driver.execute_async_script(CLICK_TO_FRAME))
    print(f"click to `ready` of the iframe, loopback: median {statistics.median(times):.0f} ms of {ROUNDS}")


def fresh(driver: WebDriver, site: Site, body: str | None = None) -> Page:
    """Return a newly loaded page without stored sessions."""
    site.script = Script()
    driver.get(site.host + "/empty")
    driver.execute_script("sessionStorage.clear()")
    return Page(driver, site).open(body, query="")


if __name__ == "__main__":
    main()
