"""A small host application for the demo: a CRM whose settings have a page to connect WhatsApp.

It does what any host application does: it mounts the Embed, knows who is signed in, and puts the
snippet into a page of its own. What the demo adds is a list of what the backend knows.
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
    """The CRM's own sign-in: whoever opens its page is its one user, Ada Brook."""

    def __init__(self) -> None:
        self._token = secrets.token_urlsafe(24)

    def user_of(self, environ: WSGIEnvironment) -> str | None:
        """Be the Embed's `identify`."""
        known = parse_cookie(environ).get(_COOKIE, "")
        return USER_ID if secrets.compare_digest(known.encode(), self._token.encode()) else None

    def welcome(self, response: Response) -> None:
        """Let the browser that gets this response be signed in."""
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
            answer: Callable[..., Response] = getattr(self, f"_{endpoint}")
            response: Response | HTTPException = answer(Request(environ), **values)
        except HTTPException as error:
            response = error
        return response(environ, start_response)

    def _page(self, _request: Request) -> Response:
        template = Template(_read("page.html").decode())
        html = template.substitute(snippet=self._embed.snippet(), log_page=self._log_page)
        response = Response(html, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = self._policy()
        # What Meta's signup needs: any stricter value would keep it from opening its window.
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        self._sign_in.welcome(response)
        return response

    def _registrations(self, request: Request) -> Response:
        user_id = self._sign_in.user_of(request.environ)
        if user_id is None:
            raise Unauthorized
        known = sorted(self._embed.registrations(user_id=user_id), key=lambda one: one.created_at)
        rows = json.dumps([_shown(one) for one in reversed(known)])
        response = Response(rows, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def _static(self, _request: Request, name: str) -> Response:
        if name not in _TYPES:
            raise NotFound
        response = Response(_read(f"static/{name}"), content_type=f"{_TYPES[name]}; charset=utf-8")
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


def _shown(registration: Registration) -> dict[str, str | None]:
    """Show a row of the list; a Registration holds no secret."""
    return {
        "registration_id": registration.registration_id,
        "status": registration.status,
        "phone": registration.phone,
        "created_at": registration.created_at.isoformat(),
    }


def _read(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()
