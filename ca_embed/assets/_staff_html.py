"""What all pages for the staff have in common: the frame, the policy, the forms. All values are escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import files

from ca_embed.assets._html import Html


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where the pages are, and for whom.

    root: the path of the start page. token: makes the token of a form, of an action and a registration id.
    """

    root: str
    token: Callable[[str, str], str]

    def path_of(self, registration_id: str) -> str:
        """Return the path of a registration's page."""
        return f"{self.root}/{registration_id}"


def page(root: str, heading: str, body: str, *, notice: str = "", mark: str = "done") -> Html:
    """Return a complete page. body: HTML. notice: text above it; mark: "done" or "problem"."""
    told = f'<p class="notice {mark}" role="status">{escape(notice)}</p>\n' if notice else ""
    return Html(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(heading)} - WhatsApp registrations</title>\n<style>{_style()[0]}</style>\n</head>\n"
        f'<body>\n<header>\n<a href="{escape(root)}">WhatsApp registrations</a>\n</header>\n<main>\n'
        f"<h1>{escape(heading)}</h1>\n{told}{body}</main>\n</body>\n</html>\n"
    )


def policy() -> str:
    """Return the Content-Security-Policy of all these pages: one style sheet, own forms, nothing else."""
    return (
        f"default-src 'none'; style-src '{_style()[1]}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


def form(
    desk: Desk,
    action: str,
    registration_id: str,
    label: str,
    *,
    handler: str | None = None,
    about: str = "",
    kind: str = "",
) -> str:
    """Return a button that does something. about: what a screen reader says after the label."""
    spoken = f'<span class="spoken"> {escape(about)}</span>' if about else ""
    return (
        f'<form method="post" action="{escape(desk.root)}">\n'
        f"{hidden(desk, action, registration_id)}"
        + (_field("handler", handler) if handler is not None else "")
        + f'<button class="{kind}">{escape(label)}{spoken}</button>\n</form>\n'
    )


def hidden(desk: Desk, action: str, registration_id: str) -> str:
    """Return the hidden fields that say what a form does."""
    token = desk.token(action, registration_id)
    return _field("action", action) + _field("registration_id", registration_id) + _field("token", token)


def facts(pairs: list[tuple[str, str]]) -> str:
    """Return a list of names and values. The values are HTML; those that are empty are left out."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>\n" for name, value in pairs if value)
    return f"<dl>\n{rows}</dl>\n" if rows else ""


def moment(at: datetime | float | None) -> str:
    """Return a time as HTML. A number is in Unix seconds."""
    if at is None:
        return ""
    when = (datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at.astimezone(UTC)).replace(
        microsecond=0
    )
    return f'<time datetime="{when.isoformat()}">{when:%Y-%m-%d %H:%M:%S} UTC</time>'


def _field(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{escape(value)}">\n'


@cache
def _style() -> tuple[str, str]:
    """Return the style sheet, and the hash that the policy knows it by."""
    style = files("ca_embed").joinpath("assets", "staff.css").read_text("utf-8").strip()
    return style, f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"
