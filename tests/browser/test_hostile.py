"""Forged and malformed messages, floods of messages, and strict policies of the host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.page import SCRIPT, TYPE, Page
from tests.browser.site import Site

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src {frame};"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


MALFORMED: list[Any] = [
    None, "completed", 7, [], {}, True,
    {"event": "completed", "registration_id": "reg1"},
    {"type": TYPE + " ", "event": "completed", "registration_id": "reg1"},
    {"type": [TYPE], "event": "completed", "registration_id": "reg1"},
    {"type": TYPE, "event": "completed"},
    {"type": TYPE, "event": "completed", "registration_id": "reg0"},
    {"type": TYPE, "event": "completed", "registration_id": ["reg1"]},
    {"type": TYPE, "event": ["completed"], "registration_id": "reg1"},
    {"type": TYPE, "event": "confirmed", "registration_id": "reg1"},
    {"type": TYPE, "event": "error", "registration_id": "reg1"},
    {"type": TYPE, "event": "toString", "registration_id": "reg1"},
    json.dumps({"type": TYPE, "event": "completed", "registration_id": "reg1"}),
]  # fmt: skip


def test_malformed_messages(page: Page) -> None:
    """A message with a wrong type, event, form or registration is ignored, even from the right iframe."""
    page.started()
    for message in MALFORMED:
        page.frame_posts(message)
    page.settled()
    assert page.status == "in_progress"
    assert page.heard() == ["ready"]


FOREIGN = {
    "the host page itself": "postMessage(message, '*')",
    "a script that makes one up": "forge(message, partner)",
    "another frame of the right origin": "other(partner + '/?s=other&silent')",
    "a frame of another origin": "other(elsewhere + '/frame')",
    "a sandboxed frame of the right origin": "other(partner + '/?s=other&silent', 'allow-scripts')",
    "a data: frame": "other('data:text/html,<script>onmessage=e=>top.postMessage(e.data.say,`*`)</script>')",
}


@pytest.mark.parametrize("who", FOREIGN)
def test_messages_of_others(page: Page, site: Site, who: str) -> None:
    """A correct message from any other source than the element's own iframe is ignored."""
    page.started()
    page.driver.execute_async_script(
        """
        const [message, partner, elsewhere, done] = arguments;
        const seen = new Promise((see) => {
          addEventListener('message', ({ data }) => data.event === 'completed' && see());
        });
        function other(src, sandbox) {
          const frame = document.createElement('iframe');
          if (sandbox) frame.sandbox = sandbox;
          frame.src = src;
          frame.onload = () => frame.contentWindow.postMessage({ say: message }, '*');
          document.body.append(frame);
        }
        """
        + FOREIGN[who]
        + "; seen.then(() => setTimeout(done, 50))",
        page.message("completed"),
        site.partner,
        site.other,
    )
    assert page.status == "in_progress"
    assert page.heard() == ["ready"]


def test_frame_that_left_the_origin(page: Page, site: Site) -> None:
    """After the iframe has navigated to another origin, its messages are ignored."""
    page.started().run("a.iframe.contentWindow.postMessage({ go: arguments[0] }, '*')", site.other + "/frame")
    page.run(
        """
        window.fromOther = 0;
        addEventListener('message', ({ origin }) => (window.fromOther += origin === arguments[0]));
        """,
        site.other,
    )

    def other_origin_posted() -> bool:
        page.frame_posts("here I am")
        return bool(page.run("return window.fromOther"))

    page.until_true(other_origin_posted, "a message from the other origin")
    page.frame_says("completed")
    page.settled()
    assert page.heard() == ["ready"]
    assert page.status == "in_progress"


def test_late_message_of_a_removed_frame(page: Page) -> None:
    """A message that arrives after its iframe was removed is ignored. Its `source` is null then."""
    page.started().run("""
        const { contentWindow } = a.iframe;
        contentWindow.postMessage({ say: arguments[0], times: 50 }, '*');
        a.close();
    """, page.message("completed"))  # fmt: skip
    page.run("postMessage('x', '*')")
    assert page.status == "idle"
    assert page.heard() == ["ready"]


def test_replay_of_an_earlier_session(page: Page) -> None:
    """A message about an earlier session is ignored in the next one."""
    page.started().frame_says("failed")
    page.until("failed").press("Start over")
    page.until("in_progress").frame_says("completed", "reg1")
    page.settled()
    assert page.status == "in_progress"
    page.frame_says("completed", "reg2")
    page.until("finishing")


def test_two_elements(page: Page, site: Site) -> None:
    """Two elements on one page have two sessions, and ignore messages about the other's."""
    page.open(page.element() + page.element(identifier="b"))
    page.run("a.start()")
    page.until("in_progress").run("b.start()")
    page.until_true(lambda: page.run("return b.status") == "in_progress", "the second")
    assert len(site.script.created()) == 2
    page.run("b.iframe.contentWindow.postMessage({ say: arguments[0] }, '*')", page.message("failed", "reg1"))
    page.run("b.iframe.contentWindow.postMessage({ say: arguments[0] }, '*')", page.message("failed", "reg2"))
    page.until_true(lambda: page.run("return b.status") == "failed", "its own message")
    assert page.status == "in_progress"


HEIGHTS: list[tuple[Any, str]] = [
    (777, "777px"), (777.2, "778px"), (12, "480px"), (-5, "480px"), (0, "480px"), (1e9, "10000px"),
    (1e308, "10000px"), (640, "640px"), ("900", "640px"), ("1e9", "640px"), ([900], "640px"),
    ({"height": 900}, "640px"), (None, "640px"), (True, "640px"),
]  # fmt: skip


def test_height(page: Page) -> None:
    """A height must be a finite number, and is limited to 480 to 10,000 px."""
    page.started()
    for wished, shown in HEIGHTS:
        page.frame_says("height", height=wished)
        page.settled()
        assert page.height == shown, wished


def test_heights_that_json_cannot_say(page: Page) -> None:
    """Values that JSON cannot express, such as NaN and Infinity, are no heights."""
    page.started()
    for value in ("NaN", "Infinity", "-Infinity", "10n", "new Date()"):
        page.run(
            f"a.iframe.contentWindow.postMessage({{ say: {{ ...arguments[0], height: {value} }} }}, '*')",
            page.message("height"),
        )
    page.settled()
    assert page.height == "640px"
    assert page.heard() == ["ready"]


def test_flood(page: Page) -> None:
    """Thousands of heights cause one write and one event per animation frame. The last height is applied."""
    page.started().run(
        """window.writes = 0;
        new MutationObserver((all) => (writes += all.length)).observe(a.iframe, { attributes: true })"""
    )
    page.run(
        """for (let n = 0; n < 200; n++) {
          const say = { ...arguments[0], height: 500 + n };
          a.iframe.contentWindow.postMessage({ say, times: 50 }, '*');
        }""",
        page.message("height"),
    )
    page.settled()
    assert page.height == "699px"
    assert page.run("return writes") < 2000
    assert len(page.heard("height")) < 2000


def test_strict_policy(page: Page, site: Site) -> None:
    """Under `style-src 'self'` and enforced Trusted Types the element works, and nothing is reported."""
    site.script.page_headers = {"Content-Security-Policy": STRICT.format(frame=site.partner)}
    page.open(page.element('mode="modal"'))
    page.run(
        """window.reports = [];
        addEventListener('securitypolicyviolation', (e) => {
            if (e.blockedURI.endsWith('/favicon.ico')) return; // the browser asks by itself
            reports.push(e.violatedDirective);
        })"""
    )
    page.press("Get started")
    page.until("in_progress")
    assert page.run("return getComputedStyle(shadow.querySelector('.iframe')).borderTopWidth") == "0px"
    page.frame_says("failed", message="no")
    page.until("failed")
    assert page.run("return reports") == []


@pytest.mark.parametrize("directive", ["frame-src 'self'", "child-src 'none'", "default-src 'self'"])
def test_policy_that_blocks_the_frame(page: Page, site: Site, directive: str) -> None:
    """If the host's own policy blocks the iframe, the element knows it at once, before the timeout."""
    site.script.page_headers = {"Content-Security-Policy": directive}
    page.open(query="").run("a.start()")
    page.until("blocked")


def test_policy_that_only_reports(page: Page, site: Site) -> None:
    """A policy in report-only mode blocks nothing."""
    site.script.page_headers = {"Content-Security-Policy-Report-Only": "frame-src 'none'"}
    page.open().run("a.start()")
    page.until("in_progress")
    assert page.heard() == ["ready"]


def test_frame_that_refuses_to_be_framed(page: Page, site: Site) -> None:
    """An iframe refused by `X-Frame-Options`, which fires no event, is blocked after the timeout."""
    site.script.frame_headers = {"X-Frame-Options": "DENY"}
    page.open().run("a.start()")
    page.until("blocked")


@pytest.mark.parametrize(
    "head",
    [
        SCRIPT,
        SCRIPT + SCRIPT,
        '<script src="/ca-embed.js"></script>',
        '<script type="module" src="/ca-embed.js"></script>',
        '<script type="module">import "/ca-embed.js"; import "/ca-embed.js?again"</script>',
        '<script type="module" src="{other}/ca-embed.js"></script>' + SCRIPT,
    ],
)
def test_ways_of_loading(page: Page, site: Site, head: str) -> None:
    """The file works as a classic script and as a module. Loaded twice, it defines the element once."""
    page.open(head=head.format(other=site.other))
    page.until("idle").run("a.start()")
    page.until("in_progress")
    assert "error" not in page.heard()


def test_nothing_is_left_after_removal(page: Page) -> None:
    """After use and removal, the element leaves no listener on window or document."""
    if page.driver.capabilities["browserName"] != "chrome":
        head = f"<script>{COUNT_LISTENERS}</script>"
        page.started(head=head + SCRIPT)
        page.run("a.remove()")
        assert page.run("return listening()") == 0
        return
    page.open("<p></p>")
    before = page.listeners()
    page.run("document.querySelector('main').innerHTML = arguments[0]", page.element())
    page.until("idle").run("a.start()")
    page.until("in_progress")
    assert page.listeners() > before
    page.run("a.remove()")
    assert page.listeners() == before


COUNT_LISTENERS = """
const open = new Set(), add = EventTarget.prototype.addEventListener;
window.listening = () => open.size;
EventTarget.prototype.addEventListener = function (type, listener, options) {
  if (this === window || this === document) {
    const entry = { type };
    open.add(entry);
    options?.signal && add.call(options.signal, 'abort', () => open.delete(entry));
  }
  return add.call(this, type, listener, options);
};
"""
