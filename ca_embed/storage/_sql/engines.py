"""Creates engines from URLs, with the time limits that a storage needs, and explains their errors."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ca_embed._extras import missing
from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage._sql.mysql import MySQL
from ca_embed.storage._sql.postgresql import PostgreSQL
from ca_embed.storage._sql.server import Server

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mysql+pymysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
    "mariadb+pymysql": "mariadb+pymysql",
}
_POOL_WAIT = 3  # seconds to wait for a free connection

_CONNECT_ARGS: dict[str, dict[str, int | None]] = {  # in seconds; only tcp_user_timeout is in milliseconds
    "postgresql+psycopg": {
        "connect_timeout": 2,
        "tcp_user_timeout": 3000,
        "prepare_threshold": None,  # pgBouncer loses prepared statements
    },
    "mysql+pymysql": {"connect_timeout": 2, "read_timeout": 3, "write_timeout": 3},
    "mariadb+pymysql": {"connect_timeout": 2, "read_timeout": 3, "write_timeout": 3},
}
_EXTRAS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}
_SERVERS: dict[str, Callable[[], Server]] = {"postgresql": PostgreSQL, "mysql": MySQL, "mariadb": MySQL}


def engine_from_url(url: str | URL) -> Engine:
    """Return an engine for the URL. It connects when it is first used. Raises ConfigurationError."""
    parsed = _parse(url)
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigurationError([f"the storage URL must begin with one of {', '.join(_DRIVERS)}"])
    if not parsed.database:
        raise ConfigurationError(["the storage URL names no database: put its name behind the host and a /"])
    parsed = parsed.set(drivername=driver)
    options = {name: value for name, value in _CONNECT_ARGS[driver].items() if name not in parsed.query}
    try:
        return create_engine(
            parsed,
            connect_args=options,
            pool_timeout=_POOL_WAIT,
            pool_size=16,  # the ASGI application uses a storage from 16 threads
            max_overflow=0,
            pool_use_lifo=True,  # so that unused connections stay idle, and the server closes them
            hide_parameters=True,
        )
    except ImportError as error:
        packages = f"'ca-embed[{_EXTRAS[parsed.get_backend_name()]}]'"
        raise ConfigurationError([missing(error, packages, user="the storage")]) from error


def server_of(dialect_name: str) -> Server:
    """Return the server for the name of a dialect. Raises ConfigurationError for an unknown one."""
    if dialect_name not in _SERVERS:
        raise ConfigurationError(
            [f"SQLAlchemyStorage keeps records in PostgreSQL, MySQL or MariaDB, not in {dialect_name}"]
        )
    return _SERVERS[dialect_name]()


def address_of(url: URL) -> str:
    """Return the driver, host and database of a URL, without user and password."""
    host = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"
    return f"{url.drivername}://{host}/{url.database or ''}"


@contextmanager
def translate_errors(server: Server, address: str) -> Generator[None]:
    """Turn each error of the database in the block into StorageUnavailable, with a remedy."""
    try:
        yield
    except StorageUnavailable as error:
        raise StorageUnavailable(f"the database {address}: {error}") from error.__cause__
    except PoolTimeout as error:
        problem = f"the pool had no connection free for {_POOL_WAIT} seconds: make it larger"
        raise StorageUnavailable(f"the database {address}: {problem}") from error
    except DBAPIError as error:
        raise StorageUnavailable(f"the database {address}: {_problem(server, error)}") from error
    except (SQLAlchemyError, OSError, TimeoutError) as error:  # raised by some drivers while connecting
        raise StorageUnavailable(
            f"the database {address}: it did not answer ({type(error).__name__})"
        ) from error


def _problem(server: Server, error: DBAPIError) -> str:
    code = server.code(error)
    said = str(error.orig).strip().partition("\n")[0]
    if code is not None and code in server.remedies:
        return f"{server.remedies[code]} ({said})"
    return f"it cannot be reached, or failed ({said})"


def _parse(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass  # leave the block first: the chained error could show the URL with its password
    raise ConfigurationError(
        ["the storage URL is mistyped; the form is postgresql+psycopg://user:password@host:5432/database"]
    )
