"""Takes a screenshot of every state of the element: `python -m tests.browser.screenshots OUTDIR`.

In light and dark, phone and desktop size, inline and modal. `index.html` in OUTDIR shows them side by side.
"""

# ruff: noqa: D103, T201  (each function brings the page to the state of its name)

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import product
from pathlib import Path

from tests.browser.engines import start
from tests.browser.page import SCRIPT, Page
from tests.browser.site import Script, Site

SCREENS = {"phone": (390, 780), "desktop": (1100, 860)}
DONE = {"status": "completed", "phone": "421233221242"}
BODY = """<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { margin: 0; padding: 24px; }
  body { background: light-dark(#f4f6f8, #0e1114); color: light-dark(#15191e, #eef1f4); }
  main { max-width: 640px; margin: auto; } h1 { font-size: 22px; margin: 0 0 16px; }
  ca-whatsapp-registration::part(box) { background: light-dark(#fff, #171b20); }
</style><h1>Channels</h1>"""


def idle(page: Page, site: Site) -> None:
    page.until("idle")


def creating(page: Page, site: Site) -> None:
    site.script.hold_create = threading.Event()
    page.run("a.start()")
    page.until("creating")


def loading(page: Page, site: Site) -> None:
    site.script.frame_query = "&silent"
    page.run("a.start()")
    page.until("loading")


def in_progress(page: Page, site: Site) -> None:
    page.run("a.start()")
    page.until("in_progress")


def asking(page: Page, site: Site) -> None:
    in_progress(page, site)
    page.run("shadow.querySelector('.close').click()")


def finishing(page: Page, site: Site) -> None:
    in_progress(page, site)
    page.frame_says("completed")
    page.until("finishing")


def slow(page: Page, site: Site) -> None:
    finishing(page, site)
    page.until_text("longer than usual")


def connected(page: Page, site: Site) -> None:
    in_progress(page, site)
    site.script.statuses["reg1"] = DONE
    page.frame_says("completed")
    page.until("connected")


def failed(page: Page, site: Site) -> None:
    in_progress(page, site)
    page.frame_says("failed", message="This number is already registered with another provider.")
    page.until("failed")


def cancelled(page: Page, site: Site) -> None:
    in_progress(page, site)
    page.frame_says("cancelled")
    page.until("cancelled")


def expired(page: Page, site: Site) -> None:
    in_progress(page, site)
    site.script.statuses["reg1"] = {"status": "expired"}
    page.until("expired")


def blocked(page: Page, site: Site) -> None:
    loading(page, site)
    page.until("blocked")


def offline(page: Page, site: Site) -> None:
    page.run("window.fetch = () => Promise.reject(new TypeError()); a.start()")
    page.until("error")


def signed_out(page: Page, site: Site) -> None:
    site.script.create_error = (401, {"status": "error", "code": "not_signed_in", "message": "Sign in"})
    page.run("a.start()")
    page.until("error")


def remembered(page: Page, site: Site) -> None:
    in_progress(page, site)
    page.run("a.close()")
    page.until("idle")


INLINE: list[Callable[[Page, Site], None]] = [
    idle, creating, loading, in_progress, finishing, slow, connected, failed, cancelled, expired, blocked,
    offline, signed_out, remembered,
]  # fmt: skip
MODAL: list[Callable[[Page, Site], None]] = [
    loading,
    in_progress,
    asking,
    finishing,
    connected,
    failed,
    blocked,
]
FAST = {slow, expired, blocked}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    site, driver, names = Site(), start("chromium"), []
    page = Page(driver, site)
    try:
        for theme, screen in product(("light", "dark"), SCREENS):
            emulate(page, theme, screen)
            for mode, state in [("inline", each) for each in INLINE] + [("modal", each) for each in MODAL]:
                show(page, site, BODY + page.element(f'mode="{mode}"'), state)
                name = f"{mode}-{state.__name__}-{theme}-{screen}.png"
                driver.save_screenshot(str(folder / name))
                names.append(name)
                release(site)
    finally:
        driver.quit()
        site.close()
    (folder / "index.html").write_text(gallery(names), "utf-8")
    print(f"{len(names)} pictures in {folder}")


def emulate(page: Page, theme: str, screen: str) -> None:
    width, height = SCREENS[screen]
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "phone"}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {
            "features": [
                {"name": "prefers-color-scheme", "value": theme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]
        },
    )


def show(page: Page, site: Site, body: str, state: Callable[[Page, Site], None]) -> None:
    site.script = Script()
    page.driver.get(site.host + "/empty")
    page.driver.execute_script("sessionStorage.clear()")
    page.open(body, head=SCRIPT, query="fast" if state in FAST else "")
    page.until("idle")
    state(page, site)


def release(site: Site) -> None:
    if site.script.hold_create:
        site.script.hold_create.set()


def gallery(names: list[str]) -> str:
    figures = "".join(
        f"<figure><img src='{name}' alt=''><figcaption>{name[:-4]}</figcaption></figure>" for name in names
    )
    style = "body{display:flex;flex-wrap:wrap;gap:12px;font:12px sans-serif}figure{margin:0}img{height:340px}"
    return f"<!doctype html><meta charset=utf-8><title>States</title><style>{style}</style>{figures}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
