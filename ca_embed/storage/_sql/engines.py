"""From a URL to an engine that keeps the storage's promises, and from an engine to its server."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage._sql.mysql import MySQL
from ca_embed.storage._sql.postgresql import PostgreSQL
from ca_embed.storage._sql.server import Server

DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mariadb+pymysql": "mariadb+pymysql",
}
POOL_WAIT = 3  # seconds for a connection that others use

_CONNECTING = {  # in seconds, but for tcp_user_timeout, which is in milliseconds
    "postgresql+psycopg": {"connect_timeout": 2, "tcp_user_timeout": 3000},
    "mysql+pymysql": {"connect_timeout": 2, "read_timeout": 3, "write_timeout": 3},
    "mariadb+pymysql": {"connect_timeout": 2, "read_timeout": 3, "write_timeout": 3},
}
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}
_SERVERS: dict[str, Callable[[], Server]] = {"postgresql": PostgreSQL, "mysql": MySQL, "mariadb": MySQL}


def engine_from_url(url: str | URL) -> Engine:
    """Return an engine for the URL; it connects when it is first used. Raises ConfigurationError."""
    parsed = _parse(url)
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigurationError([f"the storage URL must begin with one of {', '.join(DRIVERS)}"])
    if not parsed.database:
        raise ConfigurationError(["the storage URL names no database: put its name behind the host and a /"])
    parsed = parsed.set(drivername=driver)
    options = {name: value for name, value in _CONNECTING[driver].items() if name not in parsed.query}
    try:
        return create_engine(
            parsed,
            connect_args=options,
            pool_timeout=POOL_WAIT,
            pool_size=16,  # as many as the ASGI door has threads for storages
            max_overflow=0,
            pool_use_lifo=True,  # so that connections nobody needs grow old, and the server ends them
            hide_parameters=True,
        )
    except ImportError as error:
        extra = _EXTRAS[parsed.get_backend_name()]
        raise ConfigurationError(
            [f"the driver of the storage is missing: pip install 'ca_embed[{extra}]'"]
        ) from error


def server_of(dialect_name: str) -> Server:
    """Return the kind of server behind an engine. Raises ConfigurationError for one that is not known."""
    if dialect_name not in _SERVERS:
        raise ConfigurationError(
            [f"SQLAlchemyStorage keeps records in PostgreSQL, MySQL or MariaDB, not in {dialect_name}"]
        )
    return _SERVERS[dialect_name]()


def place_of(url: URL) -> str:
    """Name the database, without anything secret."""
    host = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"
    return f"{url.drivername}://{host}/{url.database or ''}"


@contextmanager
def explained(server: Server, place: str) -> Generator[None]:
    """Turn whatever goes wrong with the database into StorageUnavailable, in words that help."""
    try:
        yield
    except StorageUnavailable as error:
        raise StorageUnavailable(f"the database {place}: {error}") from error.__cause__
    except PoolTimeout as error:
        words = f"the pool had no connection free for {POOL_WAIT} seconds: make it larger"
        raise StorageUnavailable(f"the database {place}: {words}") from error
    except DBAPIError as error:
        raise StorageUnavailable(f"the database {place}: {_words(server, error)}") from error
    except (SQLAlchemyError, OSError, TimeoutError) as error:  # some drivers raise their own when connecting
        raise StorageUnavailable(
            f"the database {place}: it did not answer ({type(error).__name__})"
        ) from error


def _words(server: Server, error: DBAPIError) -> str:
    code = server.code(error)
    said = str(error.orig).strip().partition("\n")[0]
    if code is not None and code in server.remedies:
        return f"{server.remedies[code]} ({said})"
    return f"it cannot be reached, or failed ({said})"


def _parse(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass  # the error may quote the URL, and with it the password
    raise ConfigurationError(
        ["the storage URL is mistyped; the form is postgresql+psycopg://user:password@host:5432/database"]
    )
