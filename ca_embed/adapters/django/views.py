"""From Django's request to the core and back.

The views are synchronous: Django runs them in a thread where there is an event loop, and `identify` and
handlers may use the ORM.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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

from ca_embed.adapters._shared import below
from ca_embed.embed import Embed
from ca_embed.http._endpoints import respond
from ca_embed.http._messages import Csrf, Request
from ca_embed.wsgi import read_body, read_stream, request_from


def patterns(embed: Embed) -> list[Any]:
    """Return URL patterns for all endpoints, to be included. The webhook alone needs no CSRF token."""

    def endpoints(request: HttpRequest, rest: str = "") -> HttpResponse:
        return _answer(embed, request, rest)

    def webhook(request: HttpRequest) -> HttpResponse:
        return _answer(embed, request, "webhook")

    guarded, exempt = _ours(endpoints), csrf_exempt(_ours(webhook))
    return [
        path("", guarded, name="page"),
        path("webhook", exempt, name="webhook"),
        path("webhook/", exempt),
        path("<path:rest>", guarded, name="endpoints"),
    ]


def csrf_token(request: HttpRequest) -> Csrf:
    """Return what `CsrfViewMiddleware` asks of a POST."""
    header = HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME) or settings.CSRF_HEADER_NAME
    return Csrf(header, get_token(request))


def _ours(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Keep the host's settings from us: what is stored stays stored, and who may ask is ours to say."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    login_not_required(view)  # marks it, and returns it
    return view


def _answer(embed: Embed, request: HttpRequest, rest: str) -> HttpResponse:
    asked = replace(
        request_from(request.META, native=request), path=below(rest), csrf=partial(csrf_token, request)
    )
    response = respond(embed, asked, lambda: _body(request, asked))
    headers = dict(response.headers)
    native = HttpResponse(response.body, status=response.status, headers=headers)
    if "Content-Type" not in headers:
        del native["Content-Type"]  # Django names one even where there is no body
    return native


def _body(request: HttpRequest, asked: Request) -> bytes:
    """Read the body past Django's limit, which reads nothing of a chunked body under WSGI."""
    environ = getattr(request, "environ", None)
    if environ is not None and not environ.get("CONTENT_LENGTH"):
        return read_body(environ, asked)
    return read_stream(request, asked)
