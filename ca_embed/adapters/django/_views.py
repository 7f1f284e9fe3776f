"""The views: they pass Django's request to the core and return its response.

The views are synchronous. Under ASGI, Django runs them in a thread. So `identify` and handlers may use the
ORM.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import HttpHeaders
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from ca_embed.embed import Embed
from ca_embed.http import Csrf, Request, read_stream
from ca_embed.wsgi import answer_environ, read_body


def patterns(embed: Embed) -> list[Any]:
    """Return URL patterns for all endpoints. Only these are exempt from CSRF protection.

    The webhook is signed, and the forms of the operator's page have tokens of their own.
    """

    def endpoints(request: HttpRequest, rest: str = "") -> HttpResponse:
        return _answer(embed, request, rest)

    def webhook(request: HttpRequest) -> HttpResponse:
        return _answer(embed, request, "webhook")

    def staff(request: HttpRequest) -> HttpResponse:
        return _answer(embed, request, "staff")

    endpoints.ca_embed = embed  # type: ignore[attr-defined]  # for those who look for the Embed of a URL
    protected, exempt = _exempt_from_host_rules(endpoints), csrf_exempt(_exempt_from_host_rules(webhook))
    return [
        path("", protected, name="page"),
        path("webhook", exempt, name="webhook"),
        path("webhook/", exempt),
        path("staff", csrf_exempt(_exempt_from_host_rules(staff)), name="staff"),
        path("<path:rest>", protected, name="endpoints"),
    ]


def csrf_token(request: HttpRequest) -> Csrf:
    """Return the header and token that `CsrfViewMiddleware` requires."""
    header = HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME) or settings.CSRF_HEADER_NAME
    return Csrf(header, get_token(request))


def _exempt_from_host_rules(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Exempt a view from `ATOMIC_REQUESTS`, which could undo its writes, and from the login middleware."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    login_not_required(view)  # marks the view itself
    return view


def _answer(embed: Embed, request: HttpRequest, rest: str) -> HttpResponse:
    response = answer_environ(
        embed,
        request.META,
        rest=rest,
        native=request,
        read=partial(_body, request),
        csrf=partial(csrf_token, request),
    )
    headers = dict(response.headers)
    native = HttpResponse(response.body, status=response.status, headers=headers)
    if "Content-Type" not in headers:
        del native["Content-Type"]  # Django sets one even without a body
    return native


def _body(request: HttpRequest, asked: Request) -> bytes:
    """Read the body. A chunked one is read from the server: under WSGI, Django would find it empty."""
    environ = getattr(request, "environ", None)
    if environ is not None and not environ.get("CONTENT_LENGTH"):
        return read_body(environ, asked)
    return read_stream(request, asked)
