"""The page of `GET <mount>/`, under its own policy."""

from __future__ import annotations

from tests.browser.hosted import open_hosted_page
from tests.browser.page import Page
from tests.browser.site import Site
from tests.browser.test_flow import DONE


def test_from_click_to_connected(page: Page, site: Site) -> None:
    """A registration succeeds, and the page's own policy blocks nothing that it needs."""
    open_hosted_page(page)
    page.run(
        """window.reports = [];
        addEventListener('securitypolicyviolation', (e) => {
            if (e.blockedURI.endsWith('/favicon.ico')) return; // the browser asks by itself
            reports.push(e.violatedDirective);
        })"""
    )
    page.press("Get started")
    page.until("in_progress").frame_says("completed")
    site.script.statuses["reg1"] = DONE
    page.until("connected")
    assert page.run("return reports") == []


def test_blocked(page: Page, site: Site) -> None:
    """If the iframe is blocked, the page offers no new tab, because it would show the same page."""
    site.script.frame_query = "&silent"
    open_hosted_page(page).run("a.start()")
    page.until("blocked")
    assert page.buttons == ["Try again"]
    assert "ask support" in page.text
