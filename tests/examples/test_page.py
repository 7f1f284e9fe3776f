"""The examples for pages run in Chromium, each with its template engine or framework."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from ca_embed import Embed
from ca_embed.sandbox import Sandbox
from ca_embed.testing import serve_wsgi
from tests.browser.engines import running
from tests.browser.page import Tab
from tests.browser.tools import MODULES, node
from tests.examples.page_hosts.flask_host import flask_host

HOSTS = Path(__file__).parent / "page_hosts"


@pytest.fixture(scope="module")
def chromium() -> Iterator[WebDriver]:
    """Return one browser for all tests."""
    with running("chromium") as driver:
        yield driver


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Return a fake ChatArchitect for all tests."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the scripts that the pages load: two bundled applications, and htmx."""
    folder = tmp_path_factory.mktemp("bundled")
    entries = [str(HOSTS / name) for name in ("react_app.tsx", "vue_app.ts")]
    bundled = node("node", "js/examples.mjs", str(folder), *entries)
    assert bundled.returncode == 0, bundled.stderr
    htmx = {f"{name}.js": MODULES / package / "dist/htmx.min.js" for name, package in HTMX.items()}
    return {path.name: path for path in folder.iterdir()} | htmx


HTMX = {"htmx2": "htmx2", "htmx4": "htmx.org"}


@pytest.fixture(scope="module")
def host(sandbox: Sandbox, scripts: dict[str, Path]) -> Iterator[str]:
    """Return the URL of a Flask application that mounts ca_embed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        embed = Embed(
            base_url=sandbox.base_url,
            partner_token=sandbox.partner_token,
            public_url=f"{url}/chatarchitect",
            encryption_keys="fake-encryption-key-of-a-test",
            storage="memory:",
            identify=lambda request: request.cookies.get("user"),
        )
        with closing(embed), serve_wsgi(flask_host(embed, scripts), listener):
            yield url


class Visitor(Tab):
    """A user with a browser, who can also complete registrations at the fake ChatArchitect."""

    def __init__(self, driver: WebDriver, sandbox: Sandbox) -> None:
        super().__init__(driver)
        self.sandbox = sandbox
        self.known = len(sandbox.sessions)

    def visit(self, url: str) -> None:
        self.driver.get(url)
        self.until("idle")

    def opened(self) -> list[str]:
        """Return the ids of the registrations that this visitor has started."""
        return [each.registration_id for each in self.sandbox.sessions[self.known :]]

    def complete(self) -> str:
        """Complete the newest registration, as if the user had filled in the iframe's page. Return its id."""
        newest = self.opened()[-1]
        self.sandbox.complete(newest)
        return newest

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def shows(self, selector: str, text: str) -> None:
        found = f"return document.querySelector('{selector}')?.textContent"
        self.until_true(lambda: self.run(found) == text, lambda: f"{text!r}, is {self.run(found)!r}")

    def complaints(self) -> list[str]:
        """Return the warnings and errors in the browser's console since the last call."""
        grave = ("WARNING", "SEVERE")
        return [each["message"] for each in self.driver.get_log("browser") if each["level"] in grave]


@pytest.fixture
def visitor(chromium: WebDriver, sandbox: Sandbox, host: str) -> Visitor:
    """Return a user who is signed in to the Flask application and has not visited its pages before."""
    chromium.get(f"{host}/login")
    chromium.execute_script("sessionStorage.clear()")
    # A user of their own: what an earlier one has connected would be shown.
    chromium.add_cookie({"name": "user", "value": f"ada{len(sandbox.sessions)}"})
    visitor = Visitor(chromium, sandbox)
    visitor.complaints()
    return visitor


def test_plain(visitor: Visitor, host: str) -> None:
    """The plain page works under the strictest policy, and opens the page of the connected channel."""
    visitor.visit(f"{host}/plain")
    visitor.press("Get started")
    visitor.until("in_progress")
    registration_id = visitor.complete()
    visitor.shows("title", "Host")
    visitor.shows("main", registration_id)
    assert visitor.driver.current_url == f"{host}/channels/{registration_id}"
    visitor.driver.back()
    visitor.until("connected")
    assert visitor.run("return getComputedStyle(shadow.querySelector('.box')).borderColor") == GREEN
    assert visitor.complaints() == []


GREEN = "rgb(22, 163, 74)"  # of ::part(connected) in page.css


def test_plain_in_a_modal(visitor: Visitor, host: str) -> None:
    """The plain page's own button opens the modal. After it, the page of the connected channel opens."""
    visitor.visit(f"{host}/plain")
    visitor.click("#in-a-modal")
    modal = "return document.querySelector('ca-whatsapp-registration[mode=modal]')?.status"
    visitor.until_true(lambda: visitor.run(modal) == "in_progress", "a modal whose frame is ready")
    visitor.shows("main", visitor.complete())
    assert visitor.complaints() == []


def test_plain_without_a_login(visitor: Visitor, host: str) -> None:
    """A user who is not signed in is sent to the login page."""
    visitor.driver.delete_all_cookies()
    visitor.visit(f"{host}/plain")
    visitor.press("Get started")
    visitor.until_true(lambda: visitor.driver.current_url == f"{host}/channels", "where the login leads")


def test_jinja(visitor: Visitor, host: str) -> None:
    """The Jinja template, rendered by Flask, works under a policy that allows scripts by nonce only."""
    visitor.visit(f"{host}/jinja")
    assert visitor.driver.title == "Host"
    visitor.press("Get started")
    visitor.until("in_progress")
    assert visitor.complaints() == []


def test_django(visitor: Visitor, django_host: str) -> None:
    """The Django template, rendered by Django, passes its CSRF protection."""
    visitor.visit(django_host)
    assert visitor.driver.title == "Host"
    visitor.press("Get started")
    visitor.until("in_progress")
    assert visitor.complaints() == []


@pytest.fixture
def django_host(sandbox: Sandbox) -> Iterator[str]:
    """Return the URL of a Django application. It has its own process, because Django settings are global."""
    settings = {"SANDBOX_URL": sandbox.base_url, "SANDBOX_TOKEN": sandbox.partner_token}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.examples.page_hosts.django_host"],
        cwd=Path(__file__).parents[2],
        env=os.environ | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "The host did not start. Its error output is above."
        yield url
        process.communicate(timeout=20)


@pytest.mark.parametrize("release", HTMX)
def test_htmx(visitor: Visitor, host: str, release: str) -> None:
    """Once confirmed, htmx replaces the element by the server's next content, and no listener is left."""
    visitor.visit(f"{host}/htmx/{release}")
    visitor.run("a.remove()")
    without = visitor.listeners()
    visitor.visit(f"{host}/htmx/{release}")
    visitor.press("Get started")
    visitor.until("in_progress")
    assert visitor.listeners() > without
    registration_id = visitor.complete()
    visitor.until("no element")
    assert registration_id in visitor.run("return document.querySelector('#channels').textContent")
    assert visitor.listeners() == without
    assert visitor.complaints() == []


@pytest.mark.parametrize("framework", ["react", "vue"])
def test_framework(visitor: Visitor, host: str, framework: str) -> None:
    """A component that is removed and inserted again leaves no listener, keeps its session, confirms once."""
    visitor.visit(f"{host}/component/{framework}")
    visitor.until_text("Connect your number")
    visitor.click("#switch")
    visitor.until("no element")
    without = visitor.listeners()
    for button in ("Get started", "Continue"):
        visitor.click("#switch")
        visitor.until("idle").press(button)
        visitor.until("in_progress")
        assert visitor.listeners() > without
        visitor.click("#switch")
        visitor.until("no element")
        assert visitor.listeners() == without
    visitor.click("#switch")
    visitor.until("idle").press("Continue")
    visitor.until("in_progress")
    assert len(visitor.opened()) == 1
    registration_id = visitor.complete()
    visitor.until("connected")
    visitor.shows("output", registration_id)
    assert visitor.complaints() == []
