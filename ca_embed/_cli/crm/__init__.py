"""A small host application for the demo: a CRM with a settings page that connects WhatsApp.

Like any host application, it mounts the Embed, identifies its users, and puts the snippet into a page. For
the demo it also lists the stored registrations.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException, NotFound, Unauthorized
from werkzeug.http import parse_cookie
from werkzeug.routing import Map, Rule

from ca_embed._registration import Registration

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ca_embed.embed import Embed

NAME = "Alder CRM"
USER_ID = "ada.brook"

_COOKIE = "alder_session"
_TYPES = {"crm.css": "text/css", "crm.js": "text/javascript", "mark.svg": "image/svg+xml"}
_ROUTES = Map(
    [
        Rule("/", endpoint="page"),
        Rule("/registrations", endpoint="registrations"),
        Rule("/static/<name>", endpoint="static"),
    ]
)


class SignIn:
    """The CRM's sign-in. It has one user, Ada Brook, and signs in every browser that opens its page."""

    def __init__(self) -> None:
        self._token = secrets.token_urlsafe(24)

    def user_of(self, environ: WSGIEnvironment) -> str | None:
        """Return the signed-in user, or None. This is the Embed's `identify`."""
        cookie = parse_cookie(environ).get(_COOKIE, "")
        return USER_ID if secrets.compare_digest(cookie.encode(), self._token.encode()) else None

    def sign_in(self, response: Response) -> None:
        """Sign in the browser that gets this response."""
        response.set_cookie(_COOKIE, self._token, httponly=True, samesite="Lax")


class Crm:
    """The CRM as a WSGI application; the Embed is mounted beside it."""

    def __init__(self, embed: Embed, sign_in: SignIn, *, log_page: str) -> None:
        self._embed = embed
        self._sign_in = sign_in
        self._log_page = log_page

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            endpoint, values = _ROUTES.bind_to_environ(environ).match(method="GET")
            view: Callable[..., Response] = getattr(self, f"_{endpoint}")
            response: Response | HTTPException = view(Request(environ), **values)
        except HTTPException as error:
            response = error
        return response(environ, start_response)

    def _page(self, _request: Request) -> Response:
        staff_page = f"{self._embed._core.settings.public_path}/staff"
        template = Template(_file("page.html").decode())
        html = template.substitute(
            snippet=self._embed.snippet(), log_page=self._log_page, staff_page=staff_page
        )
        response = Response(html, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = self._policy()
        # Meta's signup opens a window: "same-origin" would cut it off from the page.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        self._sign_in.sign_in(response)
        return response

    def _registrations(self, request: Request) -> Response:
        user_id = self._sign_in.user_of(request.environ)
        if user_id is None:
            raise Unauthorized
        stored = sorted(self._embed.registrations(user_id=user_id), key=lambda one: one.created_at)
        rows = json.dumps([_row(one) for one in reversed(stored)])
        response = Response(rows, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def _static(self, _request: Request, name: str) -> Response:
        if name not in _TYPES:
            raise NotFound
        response = Response(_file(f"static/{name}"), content_type=f"{_TYPES[name]}; charset=utf-8")
        response.headers["Cache-Control"] = "no-cache"
        return response

    def _policy(self) -> str:
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self'",
                "connect-src 'self'",
                f"frame-src {self._embed._core.settings.iframe_origin}",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            )
        )


def _row(registration: Registration) -> dict[str, str | None]:
    """Return a row of the list. A Registration holds no secret."""
    return {
        "registration_id": registration.registration_id,
        "status": registration.status,
        "phone": registration.phone,
        "created_at": registration.created_at.isoformat(),
    }


def _file(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()
