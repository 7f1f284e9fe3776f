"""The modal: its focus, Escape, the question before leaving, and the promise of `CAEmbed.open`."""

from __future__ import annotations

from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.page import Page
from tests.browser.site import Site
from tests.browser.test_flow import DONE

OUTSIDE = '<button id="outside">Outside</button><div style="height: 3000px"></div>'


@pytest.fixture
def modal(page: Page) -> Page:
    """Return a page with a button of its own and a modal whose registration is in progress."""
    page.open(OUTSIDE + page.element('mode="modal"')).until("idle")
    page.run("shadow.querySelector('.button').focus()")
    page.type_keys(Keys.ENTER)
    return page.until("in_progress")


def is_open(page: Page) -> bool:
    """Return whether the modal is open."""
    return bool(page.run("return shadow.querySelector('dialog').open"))


def question(page: Page) -> bool:
    """Return whether it asks the user about leaving."""
    return "Stop the registration?" in page.text


def test_focus_goes_in_and_comes_back(modal: Page) -> None:
    """The dialog takes the focus, keeps it inside when Tab is pressed, and gives it back when closed."""
    assert modal.run(
        "return !!shadow.activeElement.closest('dialog') && shadow.querySelector('dialog').matches(':modal')"
    )
    for _ in range(6):
        modal.type_keys(Keys.TAB)
        assert modal.run("return document.activeElement?.id") != "outside"
    modal.run("a.close()")
    modal.until_true(lambda: not is_open(modal), "closed")
    focused = "return document.activeElement.id || document.activeElement.localName"
    modal.until_true(
        lambda: modal.run(focused) == "a", lambda: f"focus in the element, is in {modal.run(focused)}"
    )


def test_dialog_has_a_name(modal: Page) -> None:
    """The dialog and its close button have accessible names."""
    assert modal.run("return shadow.querySelector('dialog').ariaLabel") == "Connect WhatsApp"
    assert modal.run("return shadow.querySelector('.close').ariaLabel") == "Close"


@pytest.mark.parametrize("way", ["escape", "cross"])
def test_leaving_asks_first(modal: Page, way: str) -> None:
    """Under way, Escape and the close button ask first. The second time they close."""

    def leave() -> None:
        modal.run("shadow.querySelector('.close').focus()")
        modal.escape() if way == "escape" else modal.run("shadow.querySelector('.close').click()")

    leave()
    modal.until_true(lambda: question(modal), "the question")
    assert is_open(modal)
    modal.run("shadow.querySelector('.button').focus()")
    modal.type_keys(Keys.ENTER)
    modal.until_true(lambda: not question(modal), "the form again")
    assert modal.status == "in_progress"
    leave()
    modal.until_true(lambda: question(modal), "the question again")
    leave()
    modal.until_true(lambda: not is_open(modal), "closed")
    modal.until("idle")
    assert modal.run("return a.iframe") is None
    assert modal.buttons == ["Continue", "Start over"]


def test_leaving_when_it_is_over_asks_nothing(modal: Page) -> None:
    """After a failure, Escape closes at once without a question."""
    modal.frame_says("failed", message="no")
    modal.until("failed")
    modal.escape()
    modal.until_true(lambda: not is_open(modal), "closed")
    assert modal.status == "failed"


def test_page_behind_does_not_scroll(page: Page) -> None:
    """While the modal is open the page behind does not scroll. Afterwards its own overflow is restored."""
    page.open(OUTSIDE + page.element('mode="modal"')).until("idle")
    page.run("document.documentElement.style.overflow = 'scroll'; a.start()")
    page.until("in_progress")
    assert page.run("return document.documentElement.style.overflow") == "hidden"
    page.run("a.close()")
    page.until_true(
        lambda: page.run("return document.documentElement.style.overflow") == "scroll", "the host's overflow"
    )


def test_removal_while_open(modal: Page) -> None:
    """Moving the element keeps its modal open. After its removal the page scrolls again."""
    modal.run("document.querySelector('main').prepend(a)")
    modal.until("in_progress")
    assert is_open(modal)
    modal.run("a.remove()")
    modal.until_true(
        lambda: modal.run("return document.documentElement.style.overflow") == "", "a page that scrolls"
    )


def test_height_in_a_modal(page: Page) -> None:
    """In a modal the iframe is at most as high as the viewport minus 220 px, and at least 480 px."""
    page.started(page.element('mode="modal"')).frame_says("height", height=4000)
    page.settled()
    assert page.run("return parseFloat(a.iframe.style.height) === innerHeight - 220")
    page.frame_says("height", height=10)
    page.settled()
    assert page.height == "480px"
    assert page.run(INSIDE)


INSIDE = """
const { top, left, bottom, right } = shadow.querySelector('dialog').getBoundingClientRect();
return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
"""
SMALL = """
const [width, height, done] = arguments;
const small = Object.assign(document.createElement('iframe'), { src: '/page?fast', width, height });
small.onload = () => done();
document.body.append(small);
"""


@pytest.mark.parametrize("size", [(740, 360), (320, 256), (320, 180), (1280, 690), (470, 900)])
def test_sheet_in_a_small_window(page: Page, size: tuple[int, int]) -> None:
    """In a small viewport, here an iframe's, the modal fills it. The iframe gets all but the heading."""
    page.open(page.element('mode="modal"'))
    page.driver.get(f"{page.site.host}/frame")
    page.driver.execute_async_script(SMALL, *size)
    page.driver.switch_to.frame(0)
    page.until("idle").run("a.start()")
    page.until("in_progress").frame_says("height", height=900)
    page.settled()
    assert page.run(INSIDE)
    frame, heading, all_of_it = page.run(
        """const high = (each) => Math.round(each.getBoundingClientRect().height);
        return [high(a.iframe), high(shadow.querySelector('.heading')), innerHeight]"""
    )
    assert frame == all_of_it - heading
    assert heading <= 60
    assert page.heard("height")[-1]["height"] == frame


def test_connected_in_a_modal(modal: Page, site: Site) -> None:
    """After the confirmation the modal shows it and has a button to close."""
    modal.frame_says("completed")
    site.script.statuses["reg1"] = DONE
    modal.until("connected")
    assert modal.buttons == ["Done", "Connect another number"]
    modal.press("Done")
    modal.until_true(lambda: not is_open(modal) and modal.buttons == ["Connect another number"], "closed")
    assert "WhatsApp connected" in modal.text


def test_closing_while_finishing_keeps_asking(modal: Page, site: Site) -> None:
    """Closing after `completed` does not lose the confirmation."""
    modal.frame_says("completed")
    modal.until("finishing").run("a.close()")
    modal.until_true(lambda: not is_open(modal), "closed")
    site.script.statuses["reg1"] = DONE
    modal.until("connected")


OPEN = """
window.outcome = null;
const options = { endpoint: '/chatarchitect', iframeOrigin: arguments[0], lang: 'de' };
CAEmbed.open({ ...options, headers: { 'X-Own': '1' } }).then((o) => (window.outcome = o));
"""


COUNT = "return document.querySelectorAll('ca-whatsapp-registration').length"


def open_by_code(page: Page) -> Page:
    """Open a modal from code on a page without an element."""
    page.open("<p>Page</p>")
    page.until_true(lambda: page.run("return !!window.CAEmbed"), "the script")
    page.run(OPEN, page.site.partner)
    return page.until("in_progress")


def outcome(page: Page) -> Any:
    """Return the value that the promise resolved with."""
    page.until_true(lambda: page.run("return window.outcome"), "an outcome")
    return page.run("return window.outcome")


def test_open_until_confirmed(page: Page, site: Site) -> None:
    """The promise resolves as confirmed as soon as the backend confirms. Closing removes the element."""
    open_by_code(page).frame_says("completed")
    site.script.statuses["reg1"] = DONE
    assert outcome(page) == {"outcome": "confirmed", "registration_id": "reg1"}
    assert site.script.created()[0].body == {"lang": "de"}
    assert site.script.created()[0].headers["x-own"] == "1"
    page.press("Fertig")
    page.until("no element")


@pytest.mark.parametrize("hint", ["failed", "cancelled"])
def test_open_that_went_wrong(page: Page, hint: str) -> None:
    """The promise resolves with the outcome at the time when the user closed the modal."""
    open_by_code(page).frame_says(hint)
    page.until(hint).escape()
    assert outcome(page) == {"outcome": hint, "registration_id": "reg1"}
    page.until("no element")


def test_open_and_closed(page: Page) -> None:
    """The outcome of a modal that is closed under way is `closed`."""
    open_by_code(page).run("a.close()")
    assert outcome(page) == {"outcome": "closed", "registration_id": "reg1"}


def test_open_twice(page: Page, site: Site) -> None:
    """While a modal is open, a second call returns the same promise and creates no second session."""
    page.open("<p>Page</p>")
    page.until_true(lambda: page.run("return !!window.CAEmbed"), "the script")
    page.run(OPEN + "window.same = CAEmbed.open({}) === CAEmbed.open({})", site.partner)
    page.until("in_progress")
    assert page.run("return window.same")
    assert len(site.script.created()) == 1


def test_each_call_is_one_registration(page: Page, site: Site) -> None:
    """A call after a success closes the old modal and is a new registration, with an outcome of its own."""
    open_by_code(page).frame_says("completed")
    site.script.statuses["reg1"] = DONE
    assert outcome(page)["registration_id"] == "reg1"
    assert page.buttons == ["Fertig"]  # no other number, whose outcome no promise would have
    page.run(OPEN, site.partner)
    page.until("in_progress")
    assert page.run(COUNT) == 1
    assert is_open(page)
    page.run("a.close()")
    assert outcome(page) == {"outcome": "closed", "registration_id": "reg2"}
    assert page.run("return document.documentElement.style.overflow") == ""


def test_open_before_there_is_a_body(page: Page) -> None:
    """A call in the head of the page waits for the body."""
    call = f"CAEmbed.open({{ endpoint: '/chatarchitect', iframeOrigin: '{page.site.partner}' }})"
    page.open("<p>Page</p>", head=f'<script src="/ca-embed.js"></script><script>{call}</script>')
    page.until("in_progress")
