"""The hosted page and the script."""

from __future__ import annotations

import logging
from urllib.parse import parse_qs

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from ca_embed._core import Core
from ca_embed._log import as_text, fields
from ca_embed._urls import require_link_within
from ca_embed.assets._hosted_page import hosted_page as hosted_html
from ca_embed.assets._hosted_page import page_permissions, signed_out_page
from ca_embed.assets._script import Script, javascript
from ca_embed.errors import EmbedError, NotFound, NotSignedIn
from ca_embed.http._etag import revalidated
from ca_embed.http._log import request_fields
from ca_embed.http._messages import Request, Response, error_response
from ca_embed.http._steps import Steps, identify

logger = logging.getLogger("ca_embed")

_ONE_YEAR = "public, max-age=31536000, immutable"


def hosted_page(core: Core, request: Request) -> Steps[Response]:
    """Return a complete page that runs the registration of the signed-in user."""
    yield from identify()
    csrf = request.csrf() if request.csrf else None
    page = hosted_html(core.settings, request.text("accept-language"), csrf, _way_back(core, request))
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", page.lang),
        ("Content-Security-Policy", page.policy),
        # A stricter value keeps Meta's signup from opening its window.
        ("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
        ("Permissions-Policy", page_permissions(core.settings)),
        ("Referrer-Policy", "same-origin"),
    ]
    return Response(200, headers, page.html.encode())


def refused_page(core: Core, request: Request, error: EmbedError) -> Response:
    """Send a signed-out visitor to the login, or say in a page what to do. Programs get JSON."""
    accepted = parse_accept_header(request.text("accept"), MIMEAccept)
    wants_html = any(kind.lower() == "text/html" and quality > 0 for kind, quality in accepted)
    if not isinstance(error, NotSignedIn) or not wants_html:
        return error_response(error)
    if core.settings.login_url is not None:
        return Response(303, [("Location", core.settings.login_url), ("Content-Type", "text/html")], b"")
    page = signed_out_page(core.settings, request.text("accept-language"), _way_back(core, request))
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", page.lang),
        ("Content-Security-Policy", page.policy),
    ]
    return Response(error.status, headers, page.html.encode())


def _way_back(core: Core, request: Request) -> str | None:
    """Return the link that leads back to the application: the one of the request, or else the setting.

    A request may name only a page of an allowed origin: a stranger may have made the link to this page.
    """
    asked = parse_qs(request.query, keep_blank_values=True).get("return_url", [])
    if not asked:
        return core.settings.return_url
    try:
        url = asked[0] if len(asked) == 1 else ""
        return require_link_within(url, core.settings.allowed_origins)
    except ValueError as problem:
        if core.refusals.admits("page reason=return_url"):
            labels = request_fields(request)
            extra = fields("return_url", None, **labels)
            logger.warning("page reason=return_url (%s)%s", problem, as_text(labels), extra=extra)
        return core.settings.return_url


def script(_core: Core, request: Request) -> Response:
    """Return the script under its plain name: a browser asks each time whether it has changed."""
    return _javascript(request, javascript(), "no-cache")


def hashed_script(_core: Core, request: Request, digest: str) -> Response:
    """Return the script under the name that holds its hash: its bytes never change."""
    asset = javascript()
    if digest != asset.digest:
        raise NotFound("an asset of another release")
    return _javascript(request, asset, _ONE_YEAR)


def _javascript(request: Request, asset: Script, cache_control: str) -> Response:
    headers = [
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", cache_control),
        # A page of any origin may load it, with integrity or as a module.
        ("Access-Control-Allow-Origin", "*"),
        ("Cross-Origin-Resource-Policy", "cross-origin"),
    ]
    return revalidated(request, headers, asset.body, asset.digest, asset.gzipped)
