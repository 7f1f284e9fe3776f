"""Creates a storage from its URL."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ca_embed._extras import extra, missing
from ca_embed.errors import ConfigurationError

if TYPE_CHECKING:
    from ca_embed.storage._base import Storage

logger = logging.getLogger("ca_embed")

_FORMS = (
    "memory: (for tests), file:/absolute/folder, sqlite:///relative.db, sqlite:////absolute.db, "
    "postgresql+psycopg://user@host/database, mysql+pymysql://user@host/database, redis://host:6379/0"
)


def storage_from_url(url: str) -> Storage:
    """Return the storage that the URL names. The storage opens nothing before its first use.

    A path in the URL is used literally: %20 is not decoded. Raises ConfigurationError if the URL has an
    unknown form. The error shows no more of the URL than the scheme, because a URL may contain a password.
    """
    scheme, colon, rest = url.partition(":")
    build = _BUILDERS.get(scheme)
    if not colon or build is None:
        raise _unknown(scheme if colon else "")
    return build(rest)


def _memory(rest: str) -> Storage:
    from ca_embed.storage._memory import MemoryStorage

    if rest:
        raise _wrong("memory: takes nothing after the colon")
    logger.warning("storage memory: is for tests; it forgets all credentials when this process ends")
    return MemoryStorage()


def _filesystem(rest: str) -> Storage:
    from ca_embed.storage._filesystem.storage import FilesystemStorage

    path = rest.removeprefix("//")
    if not path.startswith("/") or path.startswith("//"):
        raise _wrong("file: needs the absolute path of a folder, as in file:/var/lib/ca_embed")
    return FilesystemStorage(path)


def _sqlite(rest: str) -> Storage:
    from ca_embed.storage._sqlite.storage import SQLiteStorage

    path = rest.removeprefix("///")
    if path == rest or not path or path.endswith("/"):
        raise _wrong(
            "sqlite: needs three slashes and the path of a file; a fourth slash begins an absolute path"
            + _instead(_sqlite_url(path))
        )
    if path == ":memory:" or "?" in path:
        raise _wrong("sqlite: takes the path of a file and no options; memory: keeps nothing on disk")
    return SQLiteStorage(path)


def _sqlite_url(path: str) -> str:
    """Return the URL that was meant, or nothing if the text may contain more than a path."""
    path = path.removeprefix("//")
    return f"sqlite:///{path}" if re.fullmatch(r"/?[A-Za-z0-9_.-][A-Za-z0-9_./-]*(?<!/)", path) else ""


def _sql(scheme: str, name: str) -> Callable[[str], Storage]:
    """Return the function that builds a SQLAlchemyStorage.

    ca_embed may create its table in a database that a URL names. It may not with an engine of the host.
    """

    def build(rest: str) -> Storage:
        with _installed(name):
            from ca_embed.storage._sql.storage import SQLAlchemyStorage
        return SQLAlchemyStorage(f"{scheme}:{rest}", create_table=True)

    return build


def _asyncpg(rest: str) -> Storage:
    """Build an asynchronous SQL storage behind a bridge. A pool that is asynchronous needs its own limits."""
    with _installed("postgres"):
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.ext.asyncio import create_async_engine

        from ca_embed.storage._bridge import as_sync
        from ca_embed.storage._sql.storage import AsyncSQLAlchemyStorage
    try:
        engine = create_async_engine(
            f"postgresql+asyncpg:{rest}",
            connect_args={"timeout": 2},
            pool_timeout=3,
            pool_size=16,
            max_overflow=0,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        problem = missing(error, error.name or "asyncpg", user="the storage")
        raise ConfigurationError([problem + _instead("postgresql+psycopg://")]) from None
    except (ArgumentError, ValueError):
        engine = None  # leave the block first: the chained error could show the URL with its password
    if engine is None or not engine.url.database:
        raise _wrong("postgresql+asyncpg: needs a host and the name of a database")
    return as_sync(AsyncSQLAlchemyStorage(engine, create_table=True))


def _redis(scheme: str) -> Callable[[str], Storage]:
    def build(rest: str) -> Storage:
        with _installed("redis"):
            from ca_embed.storage._redis.storage import RedisStorage
        return RedisStorage(f"{scheme}:{rest}")

    return build


@contextmanager
def _installed(name: str) -> Generator[None]:
    """Import the driver inside the block. Raises ConfigurationError if it is missing."""
    try:
        with extra(name, user="the storage"):
            yield
    except ModuleNotFoundError as error:
        raise ConfigurationError([str(error)]) from error.__cause__


_BUILDERS: dict[str, Callable[[str], Storage]] = {
    "memory": _memory,
    "file": _filesystem,
    "sqlite": _sqlite,
    **{
        scheme: _sql("postgresql+psycopg", "postgres")
        for scheme in ("postgres", "postgresql", "postgresql+psycopg")  # many hosters give postgres://
    },
    "postgresql+asyncpg": _asyncpg,
    **{scheme: _sql(scheme, "mysql") for scheme in ("mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql")},
    **{scheme: _redis(scheme) for scheme in ("redis", "rediss")},
}


_NEAREST = {  # the right spelling, by a pattern of what people write
    r"postgres.*|pgsql.*|psql": "postgresql+psycopg://",
    r"mysql.*|mariadb.*": "mysql+pymysql://",
    r"sqlite.*": "sqlite:///",
    r"redis.*": "redis://",
    r"valkeys?": "redis://",
    r"files?|filesystem": "file:/",
    r"mem|inmemory|ram": "memory:",
}


def _unknown(scheme: str) -> ConfigurationError:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme):
        return ConfigurationError([f"the storage URL has no known form; the forms are {_FORMS}"])
    nearest = (right for pattern, right in _NEAREST.items() if re.fullmatch(pattern, scheme.lower()))
    named = f" (it begins with {scheme}:){_instead(next(nearest, ''))}"
    return ConfigurationError([f"the storage URL has no known form{named}; the forms are {_FORMS}"])


def _instead(right: str) -> str:
    return f"; write {right} instead" if right else ""


def _wrong(words: str) -> ConfigurationError:
    return ConfigurationError([f"the storage URL is mistyped: {words}; the forms are {_FORMS}"])
