"""Who may use the sandbox's own pages and controls: this machine's browser, from these pages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ca_embed.sandbox._inputs import LOOPBACK_HOSTS, Refusal

if TYPE_CHECKING:
    from werkzeug import Request


class Guard:
    """Refuses what a foreign website makes a browser send here."""

    def __init__(self, base_url: str) -> None:
        self._hosts = {*LOOPBACK_HOSTS, urlsplit(base_url).hostname}

    def check(self, request: Request) -> None:
        """Refuse a foreign Host (DNS rebinding), and a request that another site's page sends.

        A program that is no browser sends neither Origin nor Sec-Fetch-Site, and passes.
        """
        if urlsplit(f"//{request.host}").hostname not in self._hosts:
            raise Refusal(403, "Open the sandbox under the address that it was started with")
        origin = request.headers.get("Origin", request.host_url.rstrip("/"))
        if origin != request.host_url.rstrip("/"):
            raise Refusal(403, "Only the sandbox's own pages may do this")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refusal(403, "Only the sandbox's own pages may do this")
