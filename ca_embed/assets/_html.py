"""The HTML: the snippet for a host's page, and the hosted page. Every value is escaped."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import NamedTuple

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from ca_embed._config import LANGUAGES, Settings
from ca_embed._host.page_headers import FEATURES
from ca_embed._urls import require_base
from ca_embed.assets._script import javascript

_TITLES = {
    "de": (
        "WhatsApp verbinden",
        "Registrieren Sie Ihre WhatsApp-Nummer, um von hier aus Nachrichten zu senden.",
    ),
    "en": ("Connect WhatsApp", "Register your WhatsApp number to send messages from here."),
    "es": ("Conectar WhatsApp", "Registre su número de WhatsApp para enviar mensajes desde aquí."),
    "pt": ("Conectar o WhatsApp", "Registre seu número do WhatsApp para enviar mensagens daqui."),
    "ru": ("Подключить WhatsApp", "Зарегистрируйте свой номер WhatsApp, чтобы отправлять сообщения отсюда."),
}
_SIGNED_OUT = {
    "de": "Melden Sie sich zuerst an und öffnen Sie dann diese Seite erneut.",
    "en": "Sign in first, then open this page again.",
    "es": "Inicie sesión primero y vuelva a abrir esta página.",
    "pt": "Entre primeiro na sua conta e abra esta página novamente.",
    "ru": "Сначала войдите в систему, затем снова откройте эту страницу.",
}
assert set(_TITLES) == set(_SIGNED_OUT) == set(LANGUAGES)

_ANY_ORIGIN = "https://any.invalid"


class Csrf(NamedTuple):
    """The header that the host's CSRF protection requires: its name and its value, the token."""

    header: str
    token: str


class Html(str):
    """HTML that is already escaped. Template engines do not escape it again, because it has `__html__`."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the HTML itself."""
        return str(self)


def snippet(
    settings: Settings,
    *,
    endpoint: str | None,
    mode: str,
    lang: str | None,
    autostart: bool,
    nonce: str | None,
    csrf: Csrf | None,
) -> Html:
    """Return the script tag and the element. Raises ValueError, which names the wrong argument."""
    _require(mode in ("inline", "modal"), 'mode: give "inline" or "modal"')
    _require(isinstance(lang, str | None), 'lang: give text like "pt-BR", or None for the page\'s language')
    _require(isinstance(nonce, str | None), "nonce: give the text that is in the page's policy, or None")
    base = settings.public_path if endpoint is None else _checked_endpoint(endpoint)
    element = _element(settings, base, mode=mode, lang=lang, autostart=autostart, csrf=csrf)
    return Html(f"{_script(base, nonce)}\n{element}")


@dataclass(frozen=True, slots=True)
class HostedPage:
    """A complete page with its language and its Content-Security-Policy."""

    html: Html
    lang: str
    policy: str


def hosted_page(settings: Settings, accept_language: str, csrf: Csrf | None = None) -> HostedPage:
    """Return the page that runs the registration, in the reader's language if it is supported."""
    lang = _preferred_language(accept_language) or settings.lang
    title, lead = _TITLES[lang]
    style = _style()
    script = _script(settings.public_path)
    element = _element(settings, settings.public_path, lang=lang, csrf=csrf, hosted=True)
    html = _page(lang, title, lead, style, head=script + "\n", body=element + "\n")
    return HostedPage(html, lang, _policy(settings, style))


def signed_out_page(settings: Settings, accept_language: str) -> HostedPage:
    """Return the page for a visitor who is not signed in. It says what to do and runs nothing."""
    lang = _preferred_language(accept_language) or settings.lang
    style = _style()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_style_source(style)}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return HostedPage(_page(lang, _TITLES[lang][0], _SIGNED_OUT[lang], style), lang, policy)


def _page(lang: str, title: str, lead: str, style: str, *, head: str = "", body: str = "") -> Html:
    title, lead = escape(title), escape(lead)
    return Html(
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n{head}</head>\n<body>\n<main>\n"
        f"<header>\n<h1>{title}</h1>\n<p>{lead}</p>\n</header>\n{body}</main>\n</body>\n</html>\n"
    )


def _preferred_language(accept_language: str) -> str | None:
    """Return the supported language that the reader prefers most, or None."""
    preferred = parse_accept_header(accept_language, LanguageAccept)
    bases = (tag.partition("-")[0].lower() for tag, quality in preferred if quality > 0)
    return next((base for base in bases if base in LANGUAGES), None)


def page_permissions(settings: Settings) -> str:
    """Return the hosted page's Permissions-Policy. It allows what the iframe needs and nothing else."""
    allowed = f'(self "{settings.iframe_origin}")'
    granted = [f"{name}={allowed}" for name in sorted(FEATURES)]
    return ", ".join([*granted, "camera=()", "geolocation=()", "microphone=()", "payment=()"])


def _policy(settings: Settings, style: str) -> str:
    ancestors = " ".join(sorted(settings.allowed_origins))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src {_style_source(style)}",
            "connect-src 'self'",
            f"frame-src {settings.iframe_origin}",
            f"frame-ancestors 'self' {ancestors}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _style_source(style: str) -> str:
    """Return what a policy calls this style: its hash."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def _style() -> str:
    return files("ca_embed").joinpath("assets", "page.css").read_text("utf-8").strip()


def _script(base: str, nonce: str | None = None) -> str:
    asset = javascript()
    attributes = {
        "src": f"{base}/{asset.hashed_name}",
        "integrity": asset.integrity,
        "crossorigin": None if base.startswith("/") or not base else "anonymous",
        "nonce": nonce,
        "defer": "",
    }
    return f"<script{_attributes(attributes)}></script>"


def _element(
    settings: Settings,
    base: str,
    *,
    mode: str = "inline",
    lang: str | None = None,
    autostart: bool = False,
    csrf: Csrf | None = None,
    hosted: bool = False,
) -> str:
    """Return the element.

    hosted: whether it is on the hosted page. There it offers no link to that page.
    """
    attributes = {
        "endpoint": base or "/",
        "iframe-origin": settings.iframe_origin,
        "mode": mode if mode != "inline" else None,
        "lang": lang,
        "autostart": "" if autostart else None,
        "csrf-header": csrf and csrf.header,
        "csrf-token": csrf and csrf.token,
        "hosted": "" if hosted else None,
    }
    tag = "ca-whatsapp-registration"
    return f"<{tag}{_attributes(attributes)}></{tag}>"


def _checked_endpoint(endpoint: str) -> str:
    """Return the endpoint, a path or a URL, without a slash at its end. Raises ValueError."""
    try:
        return _base_of(endpoint)
    except ValueError as problem:
        advice = "endpoint: give the mount's path, like /chatarchitect, or its URL"
        raise ValueError(f"{advice} ({problem})") from None


def _base_of(endpoint: str) -> str:
    _require(isinstance(endpoint, str), "it must be text")
    if endpoint and not endpoint.startswith("/"):
        return require_base(endpoint)
    return require_base(_ANY_ORIGIN + endpoint).removeprefix(_ANY_ORIGIN)


def _require(is_right: bool, advice: str) -> None:
    if not is_right:
        raise ValueError(advice)


def _attributes(values: dict[str, str | None]) -> str:
    """Return HTML attributes. None leaves an attribute out, an empty text gives its name alone."""
    return "".join(
        f" {name}" if value == "" else f' {name}="{escape(value)}"'
        for name, value in values.items()
        if value is not None
    )
