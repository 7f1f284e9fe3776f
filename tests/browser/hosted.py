"""Opens the hosted page in a browser."""

from __future__ import annotations

from contextlib import closing

from ca_embed import Embed
from ca_embed.assets._hosted_page import hosted_page
from tests.browser.page import Page


def open_hosted_page(page: Page) -> Page:
    """Open the page at the mount, in English, with its own policy and a fast clock."""
    site = page.site
    with closing(
        Embed(
            base_url=site.partner,
            partner_token="fake-partner-token-of-a-test",
            public_url=f"{site.host}/chatarchitect",
            encryption_keys="fake-encryption-key-of-a-test",
            storage="memory:",
            identify=lambda request: None,
        )
    ) as embed:
        made = hosted_page(embed._core.settings, "en")
    site.script.whole = made.html.replace("<head>", '<head><script src="/spy.js"></script>')
    site.script.page_headers = {"Content-Security-Policy": made.policy}
    return page.open(path="/chatarchitect/").until("idle")
