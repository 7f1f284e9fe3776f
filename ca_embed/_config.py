"""The settings of an Embed, checked once. One error names everything that is missing or wrong.

No problem shows a secret. It names the secret by its place, like `partner_token[1]`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ca_embed._appearance import Appearance, read_appearance
from ca_embed._given import Separated, problem_of_secret, problem_of_token, several, wrong_separator
from ca_embed._strict_json import is_unicode
from ca_embed._urls import origin_of, require_bare_origin, require_base, require_link, require_link_within
from ca_embed.errors import ConfigurationError

_T = TypeVar("_T")

LANGUAGES = ("de", "en", "es", "pt", "ru")  # guide, "Create Embed Session"
_NAMESPACE = re.compile(r"[a-z0-9-]{1,40}")
LONGEST_WINDOW = 3600
MOST_SESSIONS = 1000  # in the limit: the storage keeps the time of each
LONGEST_LIMIT = 86_400  # seconds

# What `from_env` reads: the argument of Embed, its variable, and whether that may hold several values.
_VARIABLES = {
    "base_url": ("CA_EMBED_BASE_URL", False),
    "partner_token": ("CA_EMBED_PARTNER_TOKEN", True),
    "public_url": ("CA_EMBED_PUBLIC_URL", False),
    "storage": ("CA_EMBED_STORAGE", False),
    "encryption_keys": ("CA_EMBED_ENCRYPTION_KEYS", True),
    "parent_origins": ("CA_EMBED_PARENT_ORIGINS", True),
    "integration": ("CA_EMBED_INTEGRATION", False),
    "lang": ("CA_EMBED_LANG", False),
    "namespace": ("CA_EMBED_NAMESPACE", False),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """Checked settings. URLs have no slash at the end, origins are canonical. Times are in seconds.

    keys: empty if a function of the host provides them.
    """

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
    namespace: str | None
    session_limit: tuple[int, float] | None
    login_url: str | None
    disconnectable: bool
    return_url: str | None
    appearance: Appearance
    event_retention: float | None

    @property
    def webhook_url(self) -> str:
        """The URL that ChatArchitect sends webhooks to."""
        return self.public_url + "/webhook"


def environment(variables: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the arguments of Embed that the environment sets. White space separates several values.

    Such values are a list of its own type: a comma in one of them is refused.
    """
    found: dict[str, Any] = {}
    for argument, (variable, takes_several) in _VARIABLES.items():
        if text := variables.get(variable, "").strip():
            found[argument] = Separated(text.split()) if takes_several else text
    return found


def variable_of(argument: str) -> str:
    """Return the name of an argument's environment variable."""
    return _VARIABLES[argument][0]


def fitting_language(lang: str | None, otherwise: str = "en") -> str:
    """Return a language that ChatArchitect supports: this one's base language, else "en".

    otherwise: what to return if `lang` is None.
    """
    if lang is None:
        return otherwise
    base = lang.strip().lower().replace("_", "-").partition("-")[0]
    return base if base in LANGUAGES else "en"


def read_settings(
    *,
    base_url: str | None,
    partner_token: str | Sequence[str] | None,
    public_url: str | None,
    encryption_keys: str | Sequence[str] | Callable[[], object] | None,
    parent_origins: Sequence[str] | None,
    integration: str | None,
    lang: str | None,
    replay_window: float,
    namespace: str | None,
    session_limit: tuple[int, float] | None,
    login_url: str | None,
    disconnectable: bool,
    return_url: str | None,
    appearance: Mapping[str, str] | None,
    event_retention: timedelta | None,
) -> Settings:
    """Check the arguments of Embed. Raises ConfigurationError, which names every problem at once."""
    reader = _Reader()
    iframe_origin, base = reader.url("base_url", base_url)
    public_origin, public = reader.url("public_url", public_url)
    tokens = reader.tokens(partner_token)
    keys = () if callable(encryption_keys) else reader.keys(encryption_keys)
    reader.refuse_tokens_as_keys(keys, tokens)
    parents = reader.origins("parent_origins", parent_origins)
    reader.check_window(replay_window)
    reader.check_namespace(namespace)
    reader.check_session_limit(session_limit)
    integration, lang = reader.text("integration", integration), reader.text("lang", lang)
    login_url = reader.link("login_url", login_url)
    reader.check_flag("disconnectable", disconnectable)
    allowed_origins = frozenset({public_origin, *parents})
    return_url = reader.link_within("return_url", return_url, allowed_origins)
    looks = reader.appearance(appearance)
    reader.check_retention(event_retention)
    reader.raise_problems()
    return Settings(
        base_url=base,
        iframe_origin=iframe_origin,
        public_url=public,
        public_path=urlsplit(public).path,
        parent_origins=parents or (public_origin,),
        allowed_origins=allowed_origins,
        tokens=tokens,
        keys=keys,
        integration=integration,
        lang=fitting_language(lang),
        replay_window=replay_window,
        namespace=namespace or None,
        session_limit=session_limit and (session_limit[0], session_limit[1]),
        login_url=login_url,
        disconnectable=disconnectable,
        return_url=return_url,
        appearance=looks,
        event_retention=None if event_retention is None else event_retention.total_seconds(),
    )


def read_base_url(base_url: str | None) -> str:
    """Check `base_url` alone and return it without a slash at the end. Raises ConfigurationError."""
    reader = _Reader()
    _, base = reader.url("base_url", base_url)
    reader.raise_problems()
    return base


def read_tokens(partner_token: str | Sequence[str] | None) -> tuple[str, ...]:
    """Check `partner_token` alone and return the tokens. Raises ConfigurationError."""
    reader = _Reader()
    tokens = reader.tokens(partner_token)
    reader.raise_problems()
    return tokens


def read_namespace(namespace: str | None) -> str | None:
    """Check `namespace` alone and return it, or None. Raises ConfigurationError."""
    reader = _Reader()
    reader.check_namespace(namespace)
    reader.raise_problems()
    return namespace or None


def read_keys(encryption_keys: str | Sequence[str] | None, tokens: Sequence[str] = ()) -> tuple[str, ...]:
    """Check `encryption_keys` alone and return the keys. Raises ConfigurationError.

    tokens: the partner tokens, which no key may equal.
    """
    reader = _Reader()
    keys = reader.keys(encryption_keys)
    reader.refuse_tokens_as_keys(keys, tokens)
    reader.raise_problems()
    return keys


def collect(problems: list[str], read: Callable[[], _T]) -> _T | None:
    """Return what `read` returns. If it raises ConfigurationError, add its problems and return None."""
    try:
        return read()
    except ConfigurationError as error:
        problems.extend(error.problems)
        return None


class _Reader:
    """Reads arguments one by one and collects their problems. What it returns for a wrong one is not used."""

    def __init__(self) -> None:
        self._problems: list[str] = []

    def raise_problems(self) -> None:
        """Raise ConfigurationError if there were problems."""
        if self._problems:
            raise ConfigurationError(self._problems)

    def text(self, name: str, value: object) -> str | None:
        """Return a text, or None if it is empty or not given."""
        if value is not None and not isinstance(value, str):
            self._problems.append(f"{name} must be text")
            return None
        if value is not None and not is_unicode(value):
            self._problems.append(f"{name} holds half of a surrogate pair; remove that character")
            return None
        return value or None

    def url(self, name: str, value: object) -> tuple[str, str]:
        """Return the origin, and the URL without a slash at the end."""
        if value is None or value == "":
            self._missing(name)
        if (url := self.text(name, value)) is None:
            return "", ""
        try:
            return origin_of(url), require_base(url)
        except ValueError as problem:
            self._problems.append(f"{name}: {problem}")
            return "", ""

    def link(self, name: str, value: object) -> str | None:
        """Return a URL that a browser may be sent to, or None."""
        if (url := self.text(name, value)) is None:
            return None
        try:
            return require_link(url)
        except ValueError as problem:
            self._problems.append(f"{name}: {problem}; give a path like /login, or an https URL")
            return None

    def link_within(self, name: str, value: object, origins: Collection[str]) -> str | None:
        """Return a link to a page of one of these origins, or None."""
        if (url := self.text(name, value)) is None:
            return None
        try:
            return require_link_within(url, origins)
        except ValueError as problem:
            self._problems.append(
                f"{name}: {problem}; give a path like /settings, or a URL of such an origin"
            )
            return None

    def appearance(self, value: Mapping[str, str] | None) -> Appearance:
        return collect(self._problems, lambda: read_appearance(value)) or Appearance()

    def tokens(self, values: object) -> tuple[str, ...]:
        return self._secrets("partner_token", values, problem_of_token)

    def keys(self, values: object) -> tuple[str, ...]:
        hint = "; `ca-embed generate-key` makes one"
        return self._secrets("encryption_keys", values, problem_of_secret, hint)

    def refuse_tokens_as_keys(self, keys: Sequence[str], tokens: Sequence[str]) -> None:
        for place, key in enumerate(keys):
            if key in tokens:
                self._problems.append(
                    f"encryption_keys[{place}] is a partner token; `ca-embed generate-key` makes a key"
                )

    def origins(self, name: str, values: object) -> tuple[str, ...]:
        if isinstance(values, str):
            self._problems.append(f"{name} must be a list of origins, not one text")
            return ()
        origins = []
        for place, value in enumerate(several(values)):
            if not isinstance(value, str):
                self._problems.append(f"{name}[{place}] must be text")
                continue
            if separator := wrong_separator(values, value):
                self._problems.append(f"{name}[{place}] {separator}")
                continue
            try:
                origins.append(require_bare_origin(value))
            except ValueError as problem:
                self._problems.append(f"{name}[{place}]: {problem}")
        return tuple(origins)

    def check_namespace(self, namespace: object) -> None:
        if namespace and not (isinstance(namespace, str) and _NAMESPACE.fullmatch(namespace)):
            self._problems.append("namespace must be 1 to 40 of a-z 0-9 -, like brand-a")

    def check_window(self, seconds: object) -> None:
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not 0 < seconds <= LONGEST_WINDOW
        ):
            self._problems.append(f"replay_window must be more than 0 and at most {LONGEST_WINDOW} seconds")

    def check_flag(self, name: str, value: object) -> None:
        if not isinstance(value, bool):
            self._problems.append(f"{name} must be True or False")

    def check_retention(self, retention: object) -> None:
        if retention is not None and not (
            isinstance(retention, timedelta) and retention >= timedelta(hours=1)
        ):
            self._problems.append("event_retention must be a timedelta of an hour or more, or None")

    def check_session_limit(self, limit: object) -> None:
        if limit is None:
            return
        match limit:
            case [int() as at_most, int() | float() as seconds] if not (
                isinstance(at_most, bool) or isinstance(seconds, bool)
            ):
                fits = 1 <= at_most <= MOST_SESSIONS and 0 < seconds <= LONGEST_LIMIT
            case _:
                fits = False
        if not fits:
            self._problems.append(
                f"session_limit must be None, or (sessions, seconds) of at most {MOST_SESSIONS} sessions "
                f"and {LONGEST_LIMIT} seconds, like (10, 600)"
            )

    def _secrets(
        self, name: str, values: object, problem_of: Callable[[object], str | None], hint: str = ""
    ) -> tuple[str, ...]:
        texts = several(values)
        if not texts:
            self._missing(name, hint)
        for place, text in enumerate(texts):
            repeated = "is repeated" if text in texts[:place] else None
            if separator := wrong_separator(values, text):
                self._problems.append(f"{name}[{place}] {separator}")
            elif problem := problem_of(text) or repeated:
                self._problems.append(f"{name}[{place}] {problem}{hint}")
        return tuple(text for text in texts if isinstance(text, str))

    def _missing(self, name: str, hint: str = "") -> None:
        self._problems.append(f"{name} is missing (environment variable {variable_of(name)}){hint}")
