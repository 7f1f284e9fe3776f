"""Takes ten screenshots of the theming page: `python -m tests.browser.theme_screenshots OUTDIR`.

Each theme of the page in light and dark.
"""

# ruff: noqa: T201  (it tells what it has done)

from __future__ import annotations

import sys
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.engines import start

PAGE = (Path(__file__).parents[2] / "docs" / "theming.html").as_uri()
THEMES = ("default", "indigo", "square", "warm", "roomy")
SCHEMES = ("light", "dark")


def open_theme(driver: WebDriver, theme: str, scheme: str = "light") -> None:
    """Open the theming page with a theme, and wait until the elements show their states."""
    driver.get("about:blank")  # a change of the fragment alone would load nothing
    driver.get(f"{PAGE}#{theme},{scheme}")
    shown = "return document.querySelector('#error')?.status === 'error'"
    WebDriverWait(driver, 30).until(lambda one: one.execute_script(shown))


def main(folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    driver = start("chromium")
    try:
        driver.set_window_size(1100, 1000)
        for theme in THEMES:
            for scheme in SCHEMES:
                open_theme(driver, theme, scheme)
                demos = driver.find_element(By.CLASS_NAME, "demos")
                demos.screenshot(str(folder / f"{theme}-{scheme}.png"))
    finally:
        driver.quit()
    print(f"{len(THEMES) * len(SCHEMES)} pictures in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
