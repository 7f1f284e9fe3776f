"""From a storage URL to a storage."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ca_embed.errors import ConfigurationError

if TYPE_CHECKING:
    from ca_embed.storage.base import Storage

FORMS = "memory: (for tests), file:/absolute/folder, sqlite:///relative.db, sqlite:////absolute.db"


def storage_from_url(url: str) -> Storage:
    """Return the storage that the URL names. Nothing is opened before its first use.

    A path is taken as it stands, with no escapes. Raises ConfigurationError if the URL has none of
    the known forms; the error never repeats more of it than the scheme, for a URL may hold a password.
    """
    scheme, colon, rest = url.partition(":")
    build = _BUILDERS.get(scheme)
    if not colon or build is None:
        raise _unknown(scheme if colon else "")
    return build(rest)


def _memory(rest: str) -> Storage:
    from ca_embed.storage.memory import MemoryStorage

    if rest:
        raise _wrong("memory: stands alone, with nothing after the colon")
    return MemoryStorage()


def _filesystem(rest: str) -> Storage:
    from ca_embed.storage.filesystem import FilesystemStorage

    path = rest.removeprefix("//")
    if not path.startswith("/") or path.startswith("//"):
        raise _wrong("file: needs the absolute path of a folder, as in file:/var/lib/ca_embed")
    return FilesystemStorage(path)


def _sqlite(rest: str) -> Storage:
    from ca_embed.storage.sqlite import SQLiteStorage

    path = rest.removeprefix("///")
    if path == rest or not path or path.endswith("/"):
        raise _wrong(
            "sqlite: needs three slashes and the path of a file; a fourth slash begins an absolute path"
        )
    if path == ":memory:" or "?" in path:
        raise _wrong("sqlite: takes the path of a file and no options; memory: keeps nothing on disk")
    return SQLiteStorage(path)


_BUILDERS: dict[str, Callable[[str], Storage]] = {
    "memory": _memory,
    "file": _filesystem,
    "sqlite": _sqlite,
}


def _unknown(scheme: str) -> ConfigurationError:
    named = f" (it begins with {scheme}:)" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", scheme) else ""
    return ConfigurationError([f"the storage URL has no known form{named}; the forms are {FORMS}"])


def _wrong(words: str) -> ConfigurationError:
    return ConfigurationError([f"the storage URL is mistyped: {words}; the forms are {FORMS}"])
