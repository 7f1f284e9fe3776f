"""Keeps records in Redis, which many machines may share."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.retry import Retry

from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage import redis_commands
from ca_embed.storage.base import DueCursor, SealedRecord
from ca_embed.storage.forks import ForkGate
from ca_embed.storage.redis_commands import Command, RedisCommands

CONNECT_WAIT = 1.5  # seconds
ANSWER_WAIT = 2.5
REWRITE_WAIT = 1.5

_REMEDIES: tuple[tuple[type[RedisError], str], ...] = (
    (ReadOnlyError, "it is a read-only replica: connect to the primary server"),
    (OutOfMemoryError, "its memory is full: raise maxmemory"),
    (NoPermissionError, "the user may not do that: allow EVAL, CONFIG GET, INFO and the keys"),
    (AuthorizationError, "the user may not do that: allow EVAL, CONFIG GET, INFO and the keys"),
    (AuthenticationError, "it refused the user or the password: correct the storage's URL"),
)


class RedisStorage:
    """Keeps records in one Redis server, version 6.2 or later.

    url_or_client: `redis://...`, `rediss://...`, or your own client, whose timeouts and retries are
        yours.
    prefix: what all keys begin with.

    What is saved is on the server's disk: a server that is set to forget is refused, and one must be
    set to `appendonly yes`, `appendfsync always` and `maxmemory-policy noeviction`. Raises
    ConfigurationError.
    """

    def __init__(self, url_or_client: str | Redis, *, prefix: str = redis_commands.PREFIX) -> None:
        """Nothing is opened until somebody asks."""
        if isinstance(url_or_client, RedisCluster):
            raise ConfigurationError(["RedisStorage keeps records in one server, not in a Redis Cluster"])
        self._is_ours = isinstance(url_or_client, str)
        self._client = _client(url_or_client) if isinstance(url_or_client, str) else url_or_client
        self._commands = RedisCommands(prefix)
        self._gate = ForkGate()

    def __repr__(self) -> str:
        return f"RedisStorage({self._place!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        answer = self._run(self._commands.load(registration_id))
        return redis_commands.one_record(registration_id, answer)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        return bool(self._run(self._commands.save(record)) == 1)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        return bool(self._run(self._commands.delete(registration_id, version)) == 1)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by then, earliest first, after the cursor."""
        return redis_commands.page_of_records(self._run(self._commands.due(by, limit, after)))

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records by registration id, after that id; of one user, if one is named."""
        return redis_commands.page_of_records(self._run(self._commands.list(user_id, limit, after)))

    def close(self) -> None:
        """Close connections that nobody uses, unless the client is yours. The next call opens them again."""
        if self._is_ours:
            with self._gate.passing():
                self._client.connection_pool.disconnect(inuse_connections=False)

    def _run(self, command: Command) -> Any:
        with self._gate.passing(), self._explained():
            self._require_persistence()
            (answer,) = self._send(command, **{NEVER_DECODE: True})
            return answer

    def _require_persistence(self) -> None:
        """Ask, and wait a little for a rewrite to end, which seldom happens and mostly takes no time."""
        give_up = time.monotonic() + REWRITE_WAIT
        while True:
            answers = self._send(*redis_commands.ASK_HOW_IT_PERSISTS)
            redis_commands.require_persistence(answers)
            if not redis_commands.is_rewriting(answers):
                return
            if time.monotonic() > give_up:
                raise StorageUnavailable("it is rewriting its append-only file: wait until it has finished")
            time.sleep(0.01)

    def _send(self, *commands: Command, **options: Any) -> Sequence[Any]:
        """Send the commands in one packet and return the answers; raise the first that is an error."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command, **options)  # type: ignore[no-untyped-call]
        answers = pipeline.execute(raise_on_error=False)  # which would quote the command
        for error in answers:
            if isinstance(error, Exception):
                raise error
        return answers

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Turn whatever goes wrong with the server into StorageUnavailable, in words that help."""
        try:
            yield
        except StorageUnavailable as error:
            raise StorageUnavailable(f"the Redis server {self._place}: {error}") from None
        except (RedisError, OSError) as error:
            raise StorageUnavailable(f"the Redis server {self._place}: {_words(error)}") from error

    @property
    def _place(self) -> str:
        settings = self._client.connection_pool.connection_kwargs
        where = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
        return f"{where}/{settings.get('db', 0)}"


def _client(url: str) -> Redis:
    """Return a client that is quick to give up, and never sends a write twice."""
    mistyped = ConfigurationError(
        ["the storage URL is mistyped; the form is redis://user:password@host:6379/0, or rediss:// for TLS"]
    )
    try:
        named = urlsplit(url).hostname or urlsplit(url).path
        client = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_WAIT,
            socket_timeout=ANSWER_WAIT,
            retry=Retry(NoBackoff(), 0),
            client_name="ca_embed",
        )
    except ValueError:
        raise mistyped from None  # the error may quote the URL, and with it the password
    if not named:
        raise mistyped
    return client


def _words(error: Exception) -> str:
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return f"{remedy} ({error})"
    if str(error).startswith(("CROSSSLOT", "MOVED")):
        return "it is part of a Redis Cluster: use a server that is not"
    return f"it cannot be reached, or failed ({type(error).__name__}: {error})"
