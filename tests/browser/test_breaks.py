"""What pages and people do to the element: hide it, move it, sign out, close the wrong window."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.browser.page import SCRIPT, Page
from tests.browser.site import Site
from tests.browser.test_flow import DONE
from tests.flow.kit import build

SIGNED_OUT = (401, {"status": "error", "code": "not_signed_in", "message": "Sign in first."})


@pytest.mark.parametrize("hiding", ["hidden", 'style="display: none"', "inert", 'style="visibility: hidden"'])
def test_modal_inside_a_hidden_part(page: Page, hiding: str) -> None:
    """A modal shows although its element is hidden, and has the focus. Closed, it leaves nothing behind."""
    page.open(f"<div {hiding}>{page.element('mode=modal')}</div>").until("idle").run("a.start()")
    page.until_true(lambda: page.run("return a.status") == "in_progress", "the form")
    root = "const root = a.iframe.getRootNode(); const seen = root.querySelector('dialog');"
    assert page.run(root + "return seen.matches(':modal') && a.iframe.getClientRects().length === 1")
    assert page.run(root + "return seen.contains(root.activeElement)")
    page.run("a.close()")
    assert page.run("return document.querySelector('ca-embed-dialog')") is None
    assert page.run("return !!shadow.querySelector('dialog')")


def test_start_before_insertion(page: Page) -> None:
    """`start()` on an element outside of the page says why it does nothing. Inserted, the element works."""
    page.open().until("idle").run("window.kept = a; a.remove(); kept.start()")
    assert page.run("return kept.status") == "error"
    page.run("document.querySelector('main').append(kept)")
    page.press("Try again")
    page.until("in_progress")


def test_signed_out_under_way(page: Page, site: Site) -> None:
    """A 401 under way asks for a sign-in and keeps the form. After the sign-in it goes on by itself."""
    page.started(page.element('sign-in-url="/sign-in"'))
    site.script.statuses["reg1"] = SIGNED_OUT
    page.until_text("Please sign in again")
    assert page.run("return shadow.querySelector('a').href") == f"{site.host}/sign-in"
    assert [each["code"] for each in page.heard("error")] == ["not_signed_in"]
    page.run("window.first = a.iframe")
    del site.script.statuses["reg1"]
    page.until_true(lambda: page.heard("state")[-1]["state"] == "in_progress", "the form")
    assert page.run("return a.iframe === first")
    page.frame_says("completed")
    page.until("finishing")
    site.script.statuses["reg1"] = SIGNED_OUT
    page.until_text("Please sign in again")
    site.script.statuses["reg1"] = DONE
    page.until("connected")


def test_signed_out_at_the_start(page: Page, site: Site) -> None:
    """After a 401 at the start, it goes on when the user comes back from another tab."""
    site.script.create_error = SIGNED_OUT
    page.open().until("idle").run("a.start()")
    page.until("error")
    site.script.create_error = None
    page.run("dispatchEvent(new Event('focus'))")
    page.until("in_progress")


@pytest.mark.parametrize("hint", ["cancelled", "failed"])
def test_setback_that_was_wrong(page: Page, site: Site, hint: str) -> None:
    """The iframe stays behind the panel for some minutes. It can be continued, and `completed` wins."""
    page.started(query="").run("window.first = a.iframe")
    page.frame_says(hint)
    page.until(hint).press("Continue")
    page.until("in_progress")
    assert page.run("return a.iframe === first")
    page.frame_says(hint)
    page.until(hint).frame_says("completed")
    page.until("finishing")
    site.script.statuses["reg1"] = DONE
    page.run("dispatchEvent(new Event('focus'))")
    page.until("connected")


def test_setback_in_the_end(page: Page) -> None:
    """After three minutes the iframe is removed."""
    page.started().frame_says("cancelled")
    page.until("cancelled")
    page.until_true(lambda: page.run("return a.iframe") is None, "no iframe")
    assert page.buttons == ["Continue", "Start over"]


def test_texts_are_reactive_and_languages_added(page: Page) -> None:
    """Texts that the host sets are shown at once. It may add a language, also one from right to left."""
    page.open().until("idle").run("a.texts = { start: 'Los' }")
    assert page.buttons == ["Los"]
    page.run("a.texts = undefined; CAEmbed.texts.ar = { start: 'ابدأ', dir: 'rtl' }; a.lang = 'ar-EG'")
    assert page.buttons == ["ابدأ"]
    assert page.run("const { lang, dir } = shadow.querySelector('.box'); return [lang, dir]") == ["ar", "rtl"]


PLACES = "const main = document.querySelector('main'), section = document.createElement('section');"
MOVES = {
    "twice": "main.append(section); section.append(a); main.append(a)",
    "before": "main.moveBefore ? main.moveBefore(a, null) : main.append(a)",
}


@pytest.mark.parametrize("mode", ["inline", "modal"])
@pytest.mark.parametrize("move", MOVES)
def test_moves(page: Page, site: Site, move: str, mode: str) -> None:
    """An element that is moved twice, or by `moveBefore()`, goes on with the same session."""
    page.started(page.element(f"mode={mode}"))
    page.run(PLACES + MOVES[move])
    page.until("in_progress").settled()
    page.until("in_progress").frame_says("completed")
    page.until("finishing")
    if mode == "modal":
        assert page.run("return shadow.querySelector('dialog').matches(':modal')")
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert len(site.script.created()) == 1


def test_copy_of_a_page(page: Page, site: Site) -> None:
    """A copy of the page that a router shows again, like Turbo's, does not start by itself a second time."""
    page.open(page.element("autostart mode=modal")).until("in_progress")
    page.run("const copy = a.cloneNode(true); a.remove(); document.querySelector('main').append(copy)")
    page.until_true(lambda: page.buttons, "the panel")
    assert page.status == "idle"
    assert not page.run("return shadow.querySelector('dialog').open")


def test_another_endpoint(page: Page, site: Site) -> None:
    """After a change of `endpoint`, nothing of the old one is shown."""
    page.started().frame_says("completed")
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    page.run("a.setAttribute('endpoint', '/other')")
    assert "421" not in page.text
    assert page.status == "idle"
    assert page.run("return a.iframe") is None


def test_way_out_while_the_form_is_shown(page: Page, site: Site) -> None:
    """Under the form, and while finishing, a quiet button offers to load it again, go on or stop."""
    page.started(query="").frame_says("completed")
    page.until("finishing").run("shadow.querySelector('.quiet').click()")
    page.until_text("Having trouble?")
    assert page.buttons == ["Try again", "Keep going", "Stop"]
    page.press("Keep going")
    page.until_text("Waiting for confirmation")
    page.run("shadow.querySelector('.quiet').click()")
    page.press("Try again")
    page.until("in_progress")
    assert len(site.script.created()) == 1
    page.run("a.iframe.focus(); shadow.querySelector('.quiet').click()")
    page.press("Stop")
    page.until("idle")
    assert page.buttons == ["Continue", "Start over"]


def test_focus_of_a_form_that_goes(page: Page, site: Site) -> None:
    """When the iframe with the focus is hidden or removed, the focus goes to the panel."""
    page.started().run("a.iframe.focus()")
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert page.run("return document.activeElement === a && shadow.activeElement.className") == "panel"


def test_events_cross_another_shadow_root(page: Page) -> None:
    """A host with a shadow root of its own hears the events outside of it. Each state is told once."""
    page.open("<p id=host></p>").run(
        """const element = document.createElement('ca-whatsapp-registration');
        element.setAttribute('endpoint', '/chatarchitect');
        element.setAttribute('iframe-origin', arguments[0]);
        document.querySelector('#host').attachShadow({ mode: 'open' }).append(element);
        setTimeout(() => element.start())""",
        page.site.partner,
    )
    page.until_true(lambda: "ready" in page.heard(), "ready")
    states = [each["state"] for each in page.heard("state")]
    assert states == ["idle", "creating", "loading", "in_progress"]


def test_steps_are_reported(page: Page, site: Site) -> None:
    """What the iframe says is reported to the backend, so that hosts see how far their users come."""
    page.started().frame_says("phone_verified")
    page.frame_says("facebook_started")
    page.until_true(lambda: len(site.script.steps()) == 3, "three steps")
    assert sorted(site.script.steps()) == ["facebook_started", "phone_verified", "ready"]


def test_in_another_browser(page: Page, site: Site) -> None:
    """Without a remembered session, the element finds what is connected or can be continued."""
    site.script.listed = [{"registration_id": "reg7", "status": "phone_verified"}]
    page.open().until_true(lambda: page.buttons == ["Continue", "Start over"], "an open registration")
    page.press("Continue")
    page.until_true(site.script.created, "a request")
    assert site.script.created()[0].body == {"lang": "en", "registration_id": "reg7"}
    page.until_true(lambda: page.status in ("loading", "in_progress"), "the form, and a remembered session")
    page.driver.execute_script("sessionStorage.clear()")
    site.script.listed.insert(0, {"registration_id": "reg8"} | DONE)
    page.open().until("connected")
    assert "+421" in page.text
    assert page.heard() == []


HOSTILE = """<table><tr>
<td style="white-space: nowrap; text-align: right; line-height: 3; width: 300px">{}</table>"""
STYLE = """
const style = getComputedStyle(shadow.querySelector('.box'));
return [style.whiteSpace, style.textAlign, style.direction];
"""


def test_page_from_right_to_left(page: Page, site: Site) -> None:
    """In a page from right to left, and in a table, the texts and the number look as they should."""
    head = "<script>document.documentElement.dir = 'rtl'</script>" + SCRIPT
    page.open(HOSTILE.format(page.element()), head=head).until("idle").run("a.start()")
    assert page.run(STYLE) == ["normal", "center", "ltr"]
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert page.run("return getComputedStyle(shadow.querySelector('.text')).direction") == "ltr"


def test_old_browser(page: Page) -> None:
    """In a browser without the features that the element needs, the link inside it stays."""
    head = "<script>CSS.supports = () => false</script>" + SCRIPT
    link = page.element().replace("></", '><a href="/chatarchitect/">Connect WhatsApp</a></')
    page.open(link, head=head)
    assert page.run("return a.innerText") == "Connect WhatsApp"
    assert page.run("return shadow") is None


ACCENTS = ["#000", "#fff", "#ffd43b", "#5b5bf0", "#7a4dff", "#ff4d4f", "#777", "#00c853"]


def test_contrast_of_any_accent(page: Page) -> None:
    """The text on the main colour is black or white, whichever can be read, or as the host says."""
    page.open().until("idle")
    for accent in ACCENTS:
        page.run("a.style.setProperty('--ca-accent', arguments[0])", accent)
        assert page.run(CONTRAST) >= 4.5, accent
    page.run("a.style.setProperty('--ca-on-accent', 'red')")
    assert page.run("return getComputedStyle(shadow.querySelector('.primary')).color") == "rgb(255, 0, 0)"


CONTRAST = """
const canvas = new OffscreenCanvas(1, 1).getContext('2d');
const luminance = (color) => {
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const light = (byte) => (byte <= 10 ? byte / 3294 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(light);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const { color, backgroundColor } = getComputedStyle(shadow.querySelector('.primary'));
const both = [color, backgroundColor].map(luminance);
return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
"""


def test_what_follows_stays_in_its_place(page: Page) -> None:
    """The snippet reserves the height of the element, so the page does not jump when the script has run."""
    with closing(build(public_url=f"{page.site.host}/chatarchitect", base_url=page.site.partner)) as embed:
        element = embed.snippet().partition("\n")[2]
    below = "return document.querySelector('#below').getBoundingClientRect().top"
    page.open(f"{element}<div id=below>Below</div>", head="")
    before = page.run(below)
    assert page.run("return a.innerText.trim()") == "Connect WhatsApp"
    page.run("document.head.append(Object.assign(document.createElement('script'), { src: '/ca-embed.js' }))")
    page.until("idle")
    assert abs(page.run(below) - before) < 16
