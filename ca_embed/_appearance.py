"""How the hosted page looks: the host's name, logo and colour, checked once. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ca_embed._urls import origin_of, require_link
from ca_embed.errors import ConfigurationError

LONGEST_NAME = 80
_COLOUR = re.compile(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the host has chosen. None: the page does without it.

    name: of the host's application, as its users know it.
    logo, logo_dark: URLs of pictures, or paths; the second is for dark schemes.
    accent: the main colour, as "#rrggbb".
    """

    name: str | None = None
    logo: str | None = None
    logo_dark: str | None = None
    accent: str | None = None

    @property
    def on_accent(self) -> str | None:
        """The text colour on the accent: black or white, whichever has more contrast (WCAG 2.2)."""
        if self.accent is None:
            return None
        luminance = _luminance(self.accent)
        return "#fff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000"

    @property
    def image_sources(self) -> tuple[str, ...]:
        """What a Content-Security-Policy calls the places of the logos."""
        links = [link for link in (self.logo, self.logo_dark) if link]
        return tuple(sorted({"'self'" if link.startswith("/") else origin_of(link) for link in links}))


def read_appearance(given: Mapping[str, str] | None) -> Appearance:
    """Check the argument `appearance` of Embed. Raises ConfigurationError, which names every problem."""
    if given is None:
        return Appearance()
    if not isinstance(given, Mapping):
        raise ConfigurationError(['appearance must be a dict, like {"name": "My CRM", "accent": "#4338ca"}'])
    unknown = [key for key in given if key not in _READERS]
    problems = [f"appearance: {key!r} is unknown; it takes {', '.join(_READERS)}" for key in unknown]
    checked = {key: _read(key, given.get(key), problems) for key in _READERS}
    if checked["logo_dark"] and not given.get("logo"):
        problems.append("appearance['logo_dark'] needs a logo for light schemes too")
    if problems:
        raise ConfigurationError(problems)
    return Appearance(**checked)


def _read(key: str, value: object, problems: list[str]) -> str | None:
    """Return the checked value of a key, or None if there is none. Add its problem to the list."""
    if value is None:
        return None
    try:
        return _READERS[key](value)
    except ValueError as problem:
        problems.append(f"appearance[{key!r}]: {problem}")
        return None


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
        raise ValueError(f"it must be text of 1 to {LONGEST_NAME} characters")
    if not value.isprintable():
        raise ValueError("it holds an invisible character; remove it")
    return value.strip()


def _picture(value: object) -> str:
    advice = "give a path like /static/logo.svg, or an https URL"
    try:
        return require_link(value if isinstance(value, str) else "")
    except ValueError as problem:
        raise ValueError(f"{problem}; {advice}") from None


def _colour(value: object) -> str:
    if not isinstance(value, str) or not _COLOUR.fullmatch(value):
        raise ValueError("it must be a colour like #4338ca")
    digits = value[1:].lower()
    return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))


_READERS = {"name": _name, "logo": _picture, "logo_dark": _picture, "accent": _colour}


def _luminance(colour: str) -> float:
    """Return the relative luminance of "#rrggbb" (WCAG 2.2)."""
    red, green, blue = (_linear(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
