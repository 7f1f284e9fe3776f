"""The tags of the script and the element, and the snippet for a host's page. Every value is escaped."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from ca_embed._config import Settings, fitting_language
from ca_embed._urls import require_base
from ca_embed.assets._script import javascript
from ca_embed.assets._words import WORDS

_HEIGHT = 302  # px of the element before the start; see min-height in js/src/style.css
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
        "sign-in-url": settings.login_url if hosted else None,
    }
    tag = "ca-whatsapp-registration"
    content = "" if hosted else _fallback(base, lang or settings.lang)
    return f"<{tag}{_attributes(attributes)}>{content}</{tag}>"


def _fallback(base: str, lang: str) -> str:
    """Return what stands in the element until the script runs, and in browsers without it.

    The empty picture keeps the height of the element free, without a style that a policy may forbid.
    """
    title = WORDS[fitting_language(lang, otherwise="en")].title
    spacer = f'<svg width="1" height="{_HEIGHT}" aria-hidden="true"></svg>'
    return f'{spacer}<a href="{escape(base)}/">{escape(title)}</a>'


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
