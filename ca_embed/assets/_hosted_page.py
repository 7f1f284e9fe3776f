"""The page of `GET <mount>/`: complete, with the host's looks and a strict policy. All values are escaped."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from ca_embed._appearance import Appearance
from ca_embed._config import LANGUAGES, Settings
from ca_embed._host.page_headers import FEATURES
from ca_embed.assets._html import Csrf, Html, _element, _script
from ca_embed.assets._words import WORDS, Words


@dataclass(frozen=True, slots=True)
class HostedPage:
    """A complete page with its language and its Content-Security-Policy."""

    html: Html
    lang: str
    policy: str


def hosted_page(
    settings: Settings, accept_language: str, csrf: Csrf | None = None, return_url: str | None = None
) -> HostedPage:
    """Return the page that runs the registration, in the reader's language if it is supported.

    return_url: the checked link that leads back to the host's application.
    """
    lang, looks = _language(settings, accept_language), settings.appearance
    words = WORDS[lang]
    lead = words.lead if looks.name is None else words.lead_named.format(name=looks.name)
    element = _element(settings, settings.public_path, lang=lang, csrf=csrf, hosted=True)
    body = f"{element}\n<noscript><p>{escape(words.no_script)}</p></noscript>\n"
    head = _script(settings.public_path) + "\n"
    html = _page(looks, lang, heading=words.heading, lead=lead, return_url=return_url, head=head, body=body)
    return HostedPage(html, lang, _policy(settings))


def signed_out_page(settings: Settings, accept_language: str, return_url: str | None = None) -> HostedPage:
    """Return the page for a visitor who is not signed in. It says what to do and runs nothing."""
    lang, looks = _language(settings, accept_language), settings.appearance
    words = WORDS[lang]
    html = _page(looks, lang, heading=words.title, lead=words.signed_out, return_url=return_url)
    policy = _joined(
        "default-src 'none'",
        *_style_and_images(looks),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return HostedPage(html, lang, policy)


def page_permissions(settings: Settings) -> str:
    """Return the hosted page's Permissions-Policy. It allows what the iframe needs and nothing else."""
    allowed = f'(self "{settings.iframe_origin}")'
    granted = [f"{name}={allowed}" for name in sorted(FEATURES)]
    return ", ".join([*granted, "camera=()", "geolocation=()", "microphone=()", "payment=()"])


# --- the language ---------------------------------------------------------------------------------


def _language(settings: Settings, accept_language: str) -> str:
    """Return the supported language that the reader prefers most, or else the configured one."""
    preferred = parse_accept_header(accept_language, LanguageAccept)
    bases = (tag.partition("-")[0].lower() for tag, quality in preferred if quality > 0)
    return next((base for base in bases if base in LANGUAGES), settings.lang)


# --- the parts of the page --------------------------------------------------------------------------


def _page(
    looks: Appearance,
    lang: str,
    *,
    heading: str,
    lead: str,
    return_url: str | None,
    head: str = "",
    body: str = "",
) -> Html:
    words = WORDS[lang]
    title = words.title if looks.name is None else f"{words.title} - {looks.name}"
    icon = f'<link rel="icon" href="{escape(looks.logo)}">\n' if looks.logo else ""
    return Html(
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta name="description" content="{escape(lead)}">\n'
        f"<title>{escape(title)}</title>\n{icon}<style>{_style(looks)[0]}</style>\n{head}</head>\n<body>\n"
        f"{_bar(looks, words, return_url)}<main>\n<h1>{escape(heading)}</h1>\n<p>{escape(lead)}</p>\n"
        f"{body}</main>\n</body>\n</html>\n"
    )


def _bar(looks: Appearance, words: Words, return_url: str | None) -> str:
    """Return the line above the page: whose it is, and the way back."""
    parts = []
    if looks.logo:
        parts.append(_logo(looks))
    elif looks.name:
        parts.append(f'<span class="name">{escape(looks.name)}</span>\n')
    if return_url:
        label = words.back if looks.name is None else words.back_named.format(name=looks.name)
        # Out of a frame, if the page is in one: the application would show inside itself.
        parts.append(f'<a class="back" href="{escape(return_url)}" target="_top">{escape(label)}</a>\n')
    return f"<header>\n{''.join(parts)}</header>\n" if parts else ""


def _logo(looks: Appearance) -> str:
    image = f'<img src="{escape(looks.logo or "")}" alt="{escape(looks.name or "")}" width="160" height="40">'
    if looks.logo_dark is None:
        return image + "\n"
    dark = f'<source srcset="{escape(looks.logo_dark)}" media="(prefers-color-scheme: dark)">'
    return f"<picture>{dark}{image}</picture>\n"


# --- the policy and the style -----------------------------------------------------------------------


def _policy(settings: Settings) -> str:
    ancestors = " ".join(sorted(settings.allowed_origins))
    return _joined(
        "default-src 'none'",
        "script-src 'self'",
        *_style_and_images(settings.appearance),
        "connect-src 'self'",
        f"frame-src {settings.iframe_origin}",
        f"frame-ancestors 'self' {ancestors}",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )


def _joined(*directives: str) -> str:
    return "; ".join(directives)


def _style_and_images(looks: Appearance) -> list[str]:
    images = " ".join(looks.image_sources)
    return [f"style-src '{_style(looks)[1]}'", *([f"img-src {images}"] if images else [])]


@cache
def _style(looks: Appearance) -> tuple[str, str]:
    """Return the style sheet, and the hash that a policy knows it by."""
    style = files("ca_embed").joinpath("assets", "page.css").read_text("utf-8").strip()
    if looks.accent is not None:
        colours = f"--accent: {looks.accent}; --on-accent: {looks.on_accent}"
        own = f"--ca-accent: {looks.accent}; --ca-on-accent: {looks.on_accent}"
        style += f"\n:root:root {{ {colours} }}\nca-whatsapp-registration {{ {own} }}"
    return style, f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"
