"""The hosted page and the script."""

from __future__ import annotations

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from ca_embed._core import Core
from ca_embed.assets._html import hosted_page as hosted_html
from ca_embed.assets._html import page_permissions, signed_out_page
from ca_embed.assets._script import Script, javascript
from ca_embed.errors import EmbedError, NotFound, NotSignedIn
from ca_embed.http._etag import revalidated
from ca_embed.http._messages import Request, Response, error_response
from ca_embed.http._steps import Steps, identify

_ONE_YEAR = "public, max-age=31536000, immutable"


def hosted_page(core: Core, request: Request) -> Steps[Response]:
    """Return a complete page that runs the registration of the signed-in user."""
    yield from identify()
    csrf = request.csrf() if request.csrf else None
    page = hosted_html(core.settings, request.text("accept-language"), csrf)
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
    page = signed_out_page(core.settings, request.text("accept-language"))
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Language", page.lang),
        ("Content-Security-Policy", page.policy),
    ]
    return Response(error.status, headers, page.html.encode())


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
