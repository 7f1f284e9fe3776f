"""The settings of an Embed, checked once. One error names everything that is missing or wrong.

A value that is a secret is never shown: problems name it by its place, like `partner_token[1]`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ca_embed.errors import ConfigurationError
from ca_embed.urls import require_bare_origin, require_https_or_loopback

LANGUAGES = ("de", "en", "es", "pt", "ru")  # guide, "Create Embed Session"
SHORTEST_SECRET = 16
LONGEST_WINDOW = 3600

# What `from_env` reads: the argument of Embed, its variable, and whether it may hold several values.
_VARIABLES = {
    "base_url": ("CA_EMBED_BASE_URL", False),
    "partner_token": ("CA_EMBED_PARTNER_TOKEN", True),
    "public_url": ("CA_EMBED_PUBLIC_URL", False),
    "storage": ("CA_EMBED_STORAGE", False),
    "encryption_keys": ("CA_EMBED_ENCRYPTION_KEYS", True),
    "parent_origins": ("CA_EMBED_PARENT_ORIGINS", True),
    "integration": ("CA_EMBED_INTEGRATION", False),
    "lang": ("CA_EMBED_LANG", False),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Settings that are known to be right. URLs have no trailing slash, origins are canonical."""

    base_url: str
    iframe_origin: str
    public_url: str
    public_path: str
    parent_origins: tuple[str, ...]
    allowed_origins: frozenset[str]
    tokens: tuple[str, ...]
    keys: tuple[str, ...]
    integration: str | None
    lang: str
    replay_window: float

    @property
    def webhook_url(self) -> str:
        """Where ChatArchitect delivers."""
        return self.public_url + "/webhook"


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the arguments of Embed that the environment gives; several values are split at white space."""
    found: dict[str, Any] = {}
    for argument, (variable, several) in _VARIABLES.items():
        if text := variables.get(variable, "").strip():
            found[argument] = text.split() if several else text
    return found


def variable_of(argument: str) -> str:
    """Name the environment variable of an argument."""
    return _VARIABLES[argument][0]


def fitting_language(lang: str | None, otherwise: str = "en") -> str:
    """Return a language that ChatArchitect supports: this one, its base language, or `otherwise`."""
    if lang is None:
        return otherwise
    base = lang.strip().lower().replace("_", "-").partition("-")[0]
    return base if base in LANGUAGES else "en"


def read_settings(
    *,
    base_url: str | None,
    partner_token: str | Sequence[str] | None,
    public_url: str | None,
    encryption_keys: str | Sequence[str] | None,
    parent_origins: Sequence[str] | None,
    integration: str | None,
    lang: str | None,
    replay_window: float,
) -> Settings:
    """Check the arguments of Embed. Raises ConfigurationError, naming every problem at once."""
    reader = _Reader()
    iframe_origin, base = reader.url("base_url", base_url)
    public_origin, public = reader.url("public_url", public_url)
    tokens = reader.secrets("partner_token", partner_token)
    keys = reader.secrets("encryption_keys", encryption_keys, hint="; `ca-embed generate-key` makes one")
    reader.tokens_fit_a_header(tokens)
    reader.keys_are_no_tokens(keys, tokens)
    parents = reader.origins("parent_origins", parent_origins)
    reader.window(replay_window)
    integration, lang = reader.text("integration", integration), reader.text("lang", lang)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return Settings(
        base_url=base,
        iframe_origin=iframe_origin,
        public_url=public,
        public_path=urlsplit(public).path,
        parent_origins=parents or (public_origin,),
        allowed_origins=frozenset({public_origin, *parents}),
        tokens=tokens,
        keys=keys,
        integration=integration,
        lang=fitting_language(lang),
        replay_window=replay_window,
    )


class _Reader:
    """Reads one argument after the other and collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def text(self, name: str, value: object) -> str | None:
        """Return a text; None for an empty one, which says nothing."""
        if value is not None and not isinstance(value, str):
            self.problems.append(f"{name} is not text")
            return None
        return value or None

    def url(self, name: str, value: object) -> tuple[str, str]:
        """Return the origin and the URL without a trailing slash."""
        if value is None or value == "":
            self._missing(name)
        if (url := self.text(name, value)) is None:
            return "", ""
        try:
            origin = require_https_or_loopback(url)
        except ValueError as problem:
            self.problems.append(f"{name}: {problem}")
            return "", ""
        parts = urlsplit(url)
        if parts.query or parts.fragment or url.endswith(("?", "#")):
            self.problems.append(f"{name}: it must end with its path, without ? or #")
        return origin, origin + parts.path.rstrip("/")

    def secrets(self, name: str, values: object, hint: str = "") -> tuple[str, ...]:
        texts = _several(values)
        if not texts:
            self._missing(name, hint)
        for place, text in enumerate(texts):
            problem = _problem_of_secret(text) or ("is repeated" if text in texts[:place] else None)
            if problem:
                self.problems.append(f"{name}[{place}] {problem}{hint}")
        return tuple(text for text in texts if isinstance(text, str))

    def tokens_fit_a_header(self, tokens: Sequence[str]) -> None:
        for place, token in enumerate(tokens):
            if not (token.isascii() and token.isprintable() and " " not in token):
                self.problems.append(f"partner_token[{place}] holds characters that no token has")

    def keys_are_no_tokens(self, keys: Sequence[str], tokens: Sequence[str]) -> None:
        for place, key in enumerate(keys):
            if key in tokens:
                self.problems.append(
                    f"encryption_keys[{place}] is a partner token; `ca-embed generate-key` makes a key"
                )

    def origins(self, name: str, values: object) -> tuple[str, ...]:
        if isinstance(values, str):
            self.problems.append(f"{name} must be a list of origins, not one text")
            return ()
        origins = []
        for place, value in enumerate(_several(values)):
            if not isinstance(value, str):
                self.problems.append(f"{name}[{place}] is not text")
                continue
            try:
                origins.append(require_bare_origin(value))
            except ValueError as problem:
                self.problems.append(f"{name}[{place}]: {problem}")
        return tuple(origins)

    def window(self, seconds: object) -> None:
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not 0 < seconds <= LONGEST_WINDOW
        ):
            self.problems.append(f"replay_window must be more than 0 and at most {LONGEST_WINDOW} seconds")

    def _missing(self, name: str, hint: str = "") -> None:
        self.problems.append(f"{name} is missing (environment variable {variable_of(name)}){hint}")


def _several(values: object) -> tuple[object, ...]:
    """Return the values of an argument that takes several, be it one of them or none."""
    if values is None or values == "":
        return ()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return (values,)
    return tuple(values)


def _problem_of_secret(text: object) -> str | None:
    if not isinstance(text, str):
        return "is not text"
    if not text.strip():
        return "is empty or blank"
    if text != text.strip():
        return "begins or ends with white space"
    if not text.isprintable():
        return "holds an invisible character"
    if len(text) < SHORTEST_SECRET:
        return f"is shorter than {SHORTEST_SECRET} characters"
    return None
