"""Tornado: rules for an application.

    app = tornado.web.Application([..., *rules(embed)], **settings)

`identify` gets the `RequestHandler`. `handler.current_user` works if you pass as `base` the base class of
your handlers, which has `get_current_user`. With `xsrf_cookies` on, only `/webhook` is exempt, and `/staff`,
which has its own protection. In a template, `embed.snippet(csrf=xsrf_token(handler))` returns the button.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from inspect import isawaitable

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import MAX_BODY, METHODS, Csrf, answer, mount_prefix

with extra("tornado", user=__name__):
    from tornado.routing import URLSpec
    from tornado.web import RequestHandler, stream_request_body

__all__ = ["rules", "xsrf_token"]


def rules(
    embed: Embed, prefix: str | None = None, *, base: type[RequestHandler] = RequestHandler
) -> list[URLSpec]:
    """Return rules for all endpoints, below the prefix (by default the path of `public_url`)."""
    handler: type[RequestHandler] = type("ChatArchitectHandler", (_Endpoints, base), {})
    stream_request_body(handler)
    path = re.escape(mount_prefix(embed, prefix))
    exempt = URLSpec(f"{path}/((?:webhook|staff)/?)", handler, {"embed": embed, "is_exempt": True})
    return [exempt, URLSpec(f"{path}(?:/(.*))?", handler, {"embed": embed}, name="chatarchitect")]


def xsrf_token(handler: RequestHandler) -> Csrf | None:
    """Return the header and token that Tornado's XSRF protection requires, if it is on."""
    if not handler.settings.get("xsrf_cookies"):
        return None
    return Csrf("X-XSRFToken", handler.xsrf_token.decode())


class _Endpoints(RequestHandler):
    SUPPORTED_METHODS = METHODS

    def initialize(self, embed: Embed, *, is_exempt: bool = False) -> None:
        self._embed, self._is_exempt, self._body = embed, is_exempt, bytearray()

    def check_xsrf_cookie(self) -> None:
        if not self._is_exempt:
            super().check_xsrf_cookie()

    def compute_etag(self) -> None: ...  # the core sets it

    async def prepare(self) -> None:
        """Refuse a body that is announced as too long at once: Tornado would read all of it first."""
        if isawaitable(prepared := super().prepare()):
            await prepared
        announced = self.request.headers.get("Content-Length", "")
        if not self._finished and announced.isdigit() and int(announced) > MAX_BODY:
            await self._answer(*self.path_args)

    def data_received(self, chunk: bytes) -> None:
        if len(self._body) <= MAX_BODY:
            self._body += chunk

    async def _answer(self, rest: str | None = None) -> None:
        response = await answer(
            self._embed,
            method=self.request.method or "",
            rest=rest,
            query=self.request.query,
            headers=self.request.headers.get_all(),
            native=self,
            chunks=self._chunks,
            csrf=lambda: xsrf_token(self),
        )
        self.set_status(response.status)
        self.clear_header("Content-Type")
        for name, value in response.headers:
            self.set_header(name, value)
        await self.finish(response.body or None)

    async def _chunks(self) -> AsyncIterator[bytes]:
        yield bytes(self._body)

    get = head = post = put = patch = delete = options = _answer
