"""Creates Redis clients from URLs, and explains the errors of a Redis server."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.retry import Retry

from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage._async_deadline import DeadlineExceeded
from ca_embed.storage._redis.commands import CLUSTER

_SETTINGS: dict[str, Any] = {
    "socket_connect_timeout": 1.5,  # seconds
    "socket_timeout": 2.5,
    "client_name": "ca_embed",
}
_REMEDIES: tuple[tuple[type[RedisError], str], ...] = (
    (ReadOnlyError, "it is a read-only replica: connect to the primary server"),
    (OutOfMemoryError, "its memory is full: raise maxmemory"),
    (NoPermissionError, "the user may not do that: allow EVAL, CONFIG GET, INFO and the keys"),
    (AuthorizationError, "the user may not do that: allow EVAL, CONFIG GET, INFO and the keys"),
    (AskError, CLUSTER),  # also MovedError
    (ClusterCrossSlotError, CLUSTER),
    (ClusterDownError, CLUSTER),
    (AuthenticationError, "it refused the user or the password: correct the storage's URL"),
)


def client_from_url(url: str) -> Redis:
    """Return a client with short time limits. It never repeats a command, which could write twice."""
    with _mistyped_refused(url):
        return Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_SETTINGS)


def async_client_from_url(url: str) -> AsyncRedis:
    """Return an asynchronous client with short time limits. It never repeats a command."""
    with _mistyped_refused(url):
        return AsyncRedis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **_SETTINGS)


def address_of(client: Redis | AsyncRedis) -> str:
    """Return the host, port and database of a client, without user and password."""
    settings = client.connection_pool.connection_kwargs
    where = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
    return f"{where}/{settings.get('db', 0)}"


@contextmanager
def translate_errors(address: str) -> Generator[None]:
    """Turn each error of the server in the block into StorageUnavailable, with a remedy."""
    try:
        yield
    except StorageUnavailable as error:
        raise StorageUnavailable(f"the Redis server {address}: {error}") from None
    except (RedisError, OSError) as error:
        raise StorageUnavailable(f"the Redis server {address}: {_problem(error)}") from error


@contextmanager
def _mistyped_refused(url: str) -> Generator[None]:
    mistyped = ConfigurationError(
        ["the storage URL is mistyped; the form is redis://user:password@host:6379/0, or rediss:// for TLS"]
    )
    try:
        named = urlsplit(url).hostname or urlsplit(url).path
        if not named:
            raise mistyped
        yield
    except ValueError:
        raise mistyped from None  # the chained error could show the URL with its password


def _problem(error: Exception) -> str:
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return f"{remedy} ({error})"
    if isinstance(error, DeadlineExceeded):
        return str(error)
    return f"it cannot be reached, or failed ({type(error).__name__}: {error})"
