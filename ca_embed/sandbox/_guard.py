"""The sandbox's own pages and buttons are for this machine's browser, and for these pages alone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ca_embed.sandbox._inputs import LOOPBACK_HOSTS, Refusal

if TYPE_CHECKING:
    from werkzeug import Request


class Guard:
    """Refuses requests that a foreign website makes a browser send."""

    def __init__(self, base_url: str) -> None:
        self._hosts = {*LOOPBACK_HOSTS, urlsplit(base_url).hostname}

    def check(self, request: Request) -> None:
        """Raise Refusal 403 for a foreign Host (DNS rebinding) and for a request of another site's page.

        A program that is not a browser sends neither Origin nor Sec-Fetch-Site, so it passes.
        """
        if urlsplit(f"//{request.host}").hostname not in self._hosts:
            raise Refusal(403, "Open the sandbox at the address that it was started with")
        origin = request.headers.get("Origin", request.host_url.rstrip("/"))
        if origin != request.host_url.rstrip("/"):
            raise Refusal(403, "Only the sandbox's own pages may do this; open them at the sandbox's address")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refusal(403, "Only the sandbox's own pages may do this; open them at the sandbox's address")
