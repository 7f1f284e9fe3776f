"""A registration from the button to the confirmation, and the ways in which it can end differently."""

from __future__ import annotations

import threading

import pytest

from tests.browser.page import Page
from tests.browser.site import Site

DONE = {"status": "completed", "phone": "421233221242", "completed_at": "2026-07-04T10:00:00+00:00"}


def test_click_to_connected(page: Page, site: Site) -> None:
    """A click creates one session and shows its iframe. Only the backend's answer makes it connected."""
    page.open().until("idle").press("Get started")
    page.until("in_progress")
    page.frame_says("phone_verified")
    page.frame_says("facebook_started")
    page.frame_says("completed")
    page.until("finishing")
    page.until_true(lambda: len(site.script.asked()) > 2, "some questions")
    assert page.status == "finishing"
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert "+421233221242" in page.text
    assert page.heard() == ["ready", "phone_verified", "facebook_started", "completed", "confirmed"]
    assert {each["registration_id"] for each in page.heard("confirmed")} == {"reg1"}
    assert page.run("return a.iframe") is None
    assert [call.body for call in site.script.created()] == [{"lang": "en"}]


def test_events_bubble_from_the_element(page: Page) -> None:
    """Every event is dispatched on the element itself and bubbles to the document."""
    page.started().frame_says("phone_verified")
    page.until_true(lambda: page.heard("phone_verified"), "the event")
    assert page.heard("phone_verified")[0]["target"] == "a"


def test_iframe_has_what_the_flow_needs_and_no_more(page: Page, site: Site) -> None:
    """The iframe has the guide's permissions and sandbox, a title and a referrer policy."""
    page.started()
    frame = page.run(
        "return Object.fromEntries([...a.iframe.attributes].map(({ name, value }) => [name, value]))"
    )
    assert frame["src"] == f"{site.partner}/?s=reg1&mode=embed"
    assert frame["sandbox"].split() == [
        "allow-scripts", "allow-forms", "allow-same-origin", "allow-popups", "allow-popups-to-escape-sandbox",
    ]  # fmt: skip
    assert frame["allow"] == "clipboard-write; encrypted-media; fullscreen"
    assert frame["referrerpolicy"] == "strict-origin"
    assert frame["title"] == "Connect WhatsApp"


def test_start_twice_makes_one_session(page: Page, site: Site) -> None:
    """A second start under way creates no second session and does not load the iframe again."""
    site.script.hold_create = threading.Event()
    page.open().run("a.start()")
    page.until_true(site.script.created, "the request")
    page.run("a.start()")
    site.script.hold_create.set()
    page.until("in_progress").run("window.first = a.iframe; a.start()")
    assert page.run("return a.iframe === first && a.status") == "in_progress"
    assert len(site.script.created()) == 1


def test_autostart(page: Page) -> None:
    """With `autostart` the registration starts without a click."""
    page.open(page.element("autostart")).until("in_progress")


def test_failed_shows_the_reason_as_text(page: Page, site: Site) -> None:
    """The reason of a failure is shown as text, never as markup. The next try creates a new session."""
    page.started().frame_says("failed", message="<img src=x onerror=window.hit=1> number banned")
    page.until("failed")
    assert "<img src=x onerror=window.hit=1> number banned" in page.text
    assert page.run("return [shadow.querySelector('img'), window.hit]") == [None, None]
    assert page.heard("failed")[0]["message"].endswith("number banned")
    page.press("Start over")
    page.until("in_progress")
    assert len(site.script.created()) == 2


def test_cancelled_goes_on_with_the_same_session(page: Page, site: Site) -> None:
    """After Meta's signup was cancelled, the same session can be continued, or a new one started."""
    page.started().frame_says("cancelled")
    page.until("cancelled").press("Continue")
    page.until("in_progress")
    assert len(site.script.created()) == 1
    page.frame_says("cancelled")
    page.until("cancelled").press("Start over")
    page.until("in_progress")
    assert len(site.script.created()) == 2


def test_expired(page: Page, site: Site) -> None:
    """When the backend says that the session has expired, the user can start a new one."""
    page.started()
    site.script.statuses["reg1"] = {"status": "expired"}
    page.until("expired").press("Start over")
    page.until("in_progress")
    assert len(site.script.created()) == 2


def test_backend_wins_over_lost_messages(page: Page, site: Site) -> None:
    """If the message `completed` is lost, the backend's answer still leads to connected."""
    page.started()
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert page.heard() == ["ready", "confirmed"]


@pytest.mark.parametrize("hint", ["failed", "cancelled"])
def test_backend_wins_over_wrong_hints(page: Page, site: Site, hint: str) -> None:
    """If the iframe says `failed` or `cancelled` but the backend says completed, the backend is right."""
    page.started(query="")  # with the fast clock, the element might ask before the hint comes
    site.script.statuses["reg1"] = DONE
    page.frame_says(hint)
    page.until("connected")


def test_hints_after_completed(page: Page, site: Site) -> None:
    """After `completed` only the backend decides. Later messages are events and change nothing."""
    page.started().frame_says("completed")
    page.until("finishing").frame_says("failed", message="changed my mind")
    page.until_true(lambda: page.heard("failed"), "the event")
    assert page.status == "finishing"
    site.script.statuses["reg1"] = DONE
    page.until("connected")


def test_completed_without_confirmation_claims_nothing(page: Page, site: Site) -> None:
    """If no confirmation comes, the element says that it takes long, keeps asking, and offers a new start."""
    page.started().frame_says("completed")
    page.until_text("This takes longer than usual")
    assert page.status == "finishing"
    assert page.buttons == ["Try again", "Start over"]
    asked = len(site.script.asked())
    page.until_true(lambda: len(site.script.asked()) > asked, "another question")
    assert "confirmed" not in page.heard()


@pytest.mark.parametrize("silence", ["silent", "elsewhere"])
def test_blocked(page: Page, site: Site, silence: str) -> None:
    """If the iframe sends no message in time, it is blocked, and the element offers a new tab."""
    site.script.frame_query = "&silent"
    page.open().run("a.start()")
    page.until("blocked")
    assert page.buttons == ["Open in new tab", "Try again"]
    assert page.heard("error")[0]["code"] == "blocked"
    if silence == "elsewhere":
        link = page.run("const { href, target } = shadow.querySelector('a'); return [href, target]")
        assert link == [f"{site.host}/chatarchitect", "_blank"]
        site.script.listed = [{"registration_id": "reg9"} | DONE]  # completed there
        page.until("connected")
        assert page.heard("confirmed")[0]["registration_id"] == "reg9"
    else:
        page.frame_says("ready")
        page.until("in_progress")


def test_offline_goes_on_by_itself(page: Page, site: Site) -> None:
    """Without a connection the element says so. It continues as soon as the browser is online."""
    page.open().run(
        "window.realFetch = fetch; window.fetch = () => Promise.reject(new TypeError('no')); a.start()"
    )
    page.until("error")
    assert page.heard("error")[0]["code"] == "offline"
    assert "No internet connection" in page.text
    page.run("window.fetch = realFetch; dispatchEvent(new Event('online'))")
    page.until("in_progress")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((401, {"status": "error", "code": "not_signed_in"}), "not_signed_in", "Please sign in again"),
        ((403, {"status": "error", "code": "forbidden_origin"}), "forbidden_origin", "Something went wrong"),
        ((502, {"status": "error", "code": "partner_timeout"}), "partner_timeout", "ChatArchitect is not"),
        ((200, "<!doctype html><title>Sign in</title>"), "bad_response", "Our server is not available"),
        ((500, "Internal Server Error"), "bad_response", "Our server is not available"),
        ((201, {"iframe_url": "https://x.example"}), "bad_response", "Our server is not available"),
        ((201, None), "bad_response", "Our server is not available"),
    ],
)  # fmt: skip
def test_errors_of_the_backend(
    page: Page, site: Site, answer: tuple[int, object], code: str, words: str
) -> None:
    """Each error of the backend becomes a code for the host, and a text and a button for the user."""
    site.script.create_error = answer
    page.open().run("a.start()")
    page.until("error")
    assert [each["code"] for each in page.heard("error")] == [code]
    assert words in page.text
    site.script.create_error = None
    page.press("Try again")
    page.until("in_progress")


@pytest.mark.parametrize(
    "wrong", ['iframe-origin=""', 'iframe-origin="{}/"', 'iframe-origin="http://x.example"', 'endpoint=""']
)
def test_configuration(page: Page, site: Site, wrong: str) -> None:
    """Without an endpoint or an exact https origin, nothing is requested and nothing is loaded."""
    right = f'endpoint="/chatarchitect" iframe-origin="{site.partner}"'
    body = f"<ca-whatsapp-registration {wrong.format(site.partner)} {right}>"
    page.open(body).run("a.start()")
    page.until("error")
    assert page.heard("error")[0]["code"] == "configuration"
    assert site.script.created() == []


@pytest.mark.parametrize(
    "url",
    [
        "javascript:parent.hit=1", " \tjava\nscript:parent.hit=1", "data:text/html,<p>hit",
        "http://registration.example/", "//evil.example/", "https://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}.evil.example/", "http://127.0.0.1:{port}@evil.example/",
        "http://localhost:{port}/", "blob:http://127.0.0.1:{port}/x", "", None, 7,
    ],
)  # fmt: skip
def test_iframe_url_is_checked_again(page: Page, site: Site, url: object) -> None:
    """An `iframe_url` with another origin than `iframe-origin` is never loaded."""
    port = site.partner.rsplit(":", 1)[1]
    site.script.create = {"iframe_url": url.format(port=port) if isinstance(url, str) else url}
    page.open().run("a.start()")
    page.until("error")
    assert page.heard("error")[0]["code"] == "bad_iframe_url"
    assert page.run("return [a.iframe, shadow.querySelector('iframe'), window.hit]") == [None, None, None]


def test_host_tokens(page: Page, site: Site) -> None:
    """The requests have the CSRF cookie's value in the named header, and the host's own headers."""
    page.open(page.element('csrf-header="X-CSRFToken" csrf-cookie="csrftoken"'))
    page.run(
        """document.cookie = 'csrftoken=a%3Db';
        a.headers = async () => ({ Authorization: 'Token t' });
        a.start()"""
    )
    page.until("in_progress")
    headers = site.script.created()[0].headers
    assert headers["x-csrftoken"] == "a=b"
    assert headers["authorization"] == "Token t"
    assert headers["content-type"] == "application/json"


def test_csrf_token_in_the_page(page: Page, site: Site) -> None:
    """A CSRF token in the page is sent in the named header of POST requests, and not of GET requests."""
    page.started(page.element('csrf-header="X-CSRFToken" csrf-token="from the page"'))
    page.until_true(site.script.asked, "a question")
    assert site.script.created()[0].headers["x-csrftoken"] == "from the page"
    assert "x-csrftoken" not in site.script.asked()[0].headers


def test_headers_that_fail(page: Page, site: Site) -> None:
    """If the headers function throws, it is a configuration error, and no request is sent."""
    page.open().run("a.headers = () => { throw new Error('no token') }; a.start()")
    page.until("error")
    assert page.heard("error")[0]["code"] == "configuration"
    assert site.script.created() == []


def test_cross_origin_endpoint_gets_credentials(page: Page, site: Site) -> None:
    """Requests to a backend on another origin have credentials."""
    site.script.allow_origin = site.host
    page.open(page.element().replace("/chatarchitect", site.other + "/chatarchitect/"))
    page.run("document.cookie = 'who=me'; a.start()")  # cookies know no ports
    page.until("in_progress")
    assert "who=me" in site.script.created()[0].headers["cookie"]


def test_close_inline(page: Page) -> None:
    """`close()` removes the iframe, and the session can be continued."""
    page.started().run("a.close()")
    assert page.status == "idle"
    assert page.run("return a.iframe") is None
    assert page.buttons == ["Continue", "Start over"]


def test_removal_while_creating(page: Page, site: Site) -> None:
    """Removing the element cancels its request. When it is inserted again, the user can start again."""
    site.script.hold_create = threading.Event()
    page.open().run("""
        const { fetch } = window;
        window.fetch = (url, options) => ((window.signal = options.signal), fetch(url, options));
        window.kept = a;
        a.start();
    """)
    page.until_true(site.script.created, "the request")
    page.run("a.remove()")
    assert page.run("return [signal.aborted, kept.status, kept.iframe]") == [True, "idle", None]
    site.script.hold_create.set()
    page.run("document.querySelector('main').append(kept)")
    page.press("Get started")
    page.until("in_progress")
    assert "error" not in page.heard()


def test_moved_in_the_page(page: Page, site: Site) -> None:
    """An element that the host moves continues the same session."""
    page.started().run(
        """const section = document.createElement('section');
        document.querySelector('main').append(section);
        section.append(a)"""
    )
    page.until("in_progress").frame_says("completed")
    page.until("finishing")
    page.run("document.querySelector('main').append(a)")
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert len(site.script.created()) == 1
