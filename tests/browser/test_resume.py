"""After a reload, or a return to the page, the element shows the present status of the backend."""

from __future__ import annotations

import pytest

from tests.browser.page import Page
from tests.browser.site import Site
from tests.browser.test_flow import DONE


def reload(page: Page) -> Page:
    """Reload the page in the same tab."""
    page.driver.refresh()
    return page


def test_reload_during_a_registration(page: Page, site: Site) -> None:
    """After a reload the same session can be continued, and no second one is created."""
    page.started()
    reload(page).until("idle").press("Continue")
    page.until("in_progress")
    assert len(site.script.created()) == 1
    assert len(site.script.asked()) >= 2


def test_reload_after_it_was_completed_elsewhere(page: Page, site: Site) -> None:
    """If it was completed meanwhile, the reload shows it, and `confirmed` is fired once."""
    page.started().run("a.remove()")  # it would notice the completion before the reload
    site.script.statuses["reg1"] = DONE
    reload(page).until("connected")
    assert page.heard() == ["confirmed"]
    reload(page).until("connected")
    assert page.heard() == []


def test_reload_while_finishing(page: Page, site: Site) -> None:
    """After `completed`, a reload keeps waiting for the backend and does not show the form again."""
    page.started().frame_says("completed")
    page.until("finishing")
    reload(page).until("finishing")
    site.script.statuses["reg1"] = DONE
    page.until("connected")


@pytest.mark.parametrize(
    "answer",
    [{"status": "expired"}, (404, {"status": "error", "code": "not_found", "message": "x"})],
)
def test_reload_of_what_is_gone(page: Page, site: Site, answer: object) -> None:
    """A session that has expired, or that the backend does not give to this user, is forgotten."""
    page.started()
    site.script.statuses["reg1"] = answer
    stored = "return Object.values(sessionStorage).join()"
    reload(page).until_true(lambda: page.run(stored) in ("", "undefined"), "nothing stored")
    assert page.buttons == ["Get started"]
    page.press("Get started")
    page.until("in_progress")
    assert len(site.script.created()) == 2


def test_reload_signed_out(page: Page, site: Site) -> None:
    """If no one is signed in, a reload shows nothing of the earlier registration."""
    page.started()
    site.script.statuses["reg1"] = (401, {"status": "error", "code": "not_signed_in", "message": "x"})
    reload(page).until_true(lambda: page.run("return !!a?.shadowRoot") and page.buttons, "drawn")
    assert page.buttons == ["Get started"]


def test_autostart_resumes(page: Page, site: Site) -> None:
    """After a reload, `autostart` continues the session and creates no second one."""
    page.open(page.element("autostart")).until("in_progress")
    reload(page).until("in_progress")
    assert len(site.script.created()) == 1


def test_back_and_forward(page: Page, site: Site) -> None:
    """After the user goes back to the page, with or without the back/forward cache, the status is right."""
    page.started()
    page.driver.get(site.host + "/empty")
    # A late request of the page before this test's own may have taken the first number.
    site.script.statuses |= {f"reg{number}": DONE for number in range(1, 4)}
    page.driver.back()
    page.until("connected")


def test_unusable_storage(page: Page) -> None:
    """The element works without sessionStorage."""
    head = "<script>Object.defineProperty(window, 'sessionStorage', { get() { throw Error('no') } })</script>"
    page.started(head=head + '<script src="/ca-embed.js" defer></script>')


def test_remembered_address_is_checked(page: Page, site: Site) -> None:
    """An `iframe_url` from the browser's storage is checked like one from the backend."""
    page.started()
    page.run(
        """for (const [key, value] of Object.entries(sessionStorage)) {
          sessionStorage[key] = value.replace(/http[^"]*/, 'javascript:alert(1)');
        }"""
    )
    reload(page).until("idle").press("Continue")
    page.until("error")
    assert page.heard("error")[0]["code"] == "bad_iframe_url"
    page.press("Try again")
    page.until("in_progress")
    assert len(site.script.created()) == 2
