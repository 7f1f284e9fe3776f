"""Keeps records in Redis, which many machines may share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis import Redis, RedisCluster
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import RedisCluster as AsyncRedisCluster
from redis.client import NEVER_DECODE

from ca_embed.errors import ConfigurationError
from ca_embed.storage._async_deadline import within
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._forks import ForkGate
from ca_embed.storage._leases import OneForEachLoop
from ca_embed.storage._redis import commands as redis_commands
from ca_embed.storage._redis.commands import Command, RedisCommands
from ca_embed.storage._redis.server import async_client_from_url, client_from_url, explained, place_of

LONGEST = 4.2  # seconds for one call of the asynchronous storage, all in all
PAUSE = 0.01  # seconds between two looks at a rewrite, which seldom happens and mostly takes no time


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
        _refuse_cluster(url_or_client)
        _refuse_async(url_or_client)
        self._is_ours = isinstance(url_or_client, str)
        self._client = client_from_url(url_or_client) if isinstance(url_or_client, str) else url_or_client
        self._commands = RedisCommands(prefix)
        self._gate = ForkGate()

    def __repr__(self) -> str:
        return f"RedisStorage({place_of(self._client)!r})"

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
        began = time.monotonic()
        with self._gate.passing(), explained(place_of(self._client)):
            while not redis_commands.is_ready(
                self._send(*redis_commands.ASK_HOW_IT_PERSISTS), waited=time.monotonic() - began
            ):
                time.sleep(PAUSE)
            (answer,) = self._send(command, **{NEVER_DECODE: True})
            return answer

    def _send(self, *commands: Command, **options: Any) -> Sequence[Any]:
        """Send the commands in one packet and return the answers; raise the first that is an error."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command, **options)  # type: ignore[no-untyped-call]
        return _without_errors(pipeline.execute(raise_on_error=False))  # else it would quote the command


class AsyncRedisStorage:
    """Keeps records in one Redis server, by asynchronous clients.

    url_or_factory: `redis://...`, `rediss://...`, or a function that returns a new `redis.asyncio.Redis`
        with a pool of its own. It is called once beforehand, to look at the client, and for each event
        loop that the storage is used from, since connections belong to one loop; the storage closes
        what it returned.

    The prefix and the promises are those of `RedisStorage`.
    """

    def __init__(
        self, url_or_factory: str | Callable[[], AsyncRedis], *, prefix: str = redis_commands.PREFIX
    ) -> None:
        """Nothing is opened until somebody asks."""
        if not isinstance(url_or_factory, str) and not callable(url_or_factory):
            raise ConfigurationError(
                ["AsyncRedisStorage needs a URL, or a function that returns a new client"]
            )
        make = (
            partial(async_client_from_url, url_or_factory)
            if isinstance(url_or_factory, str)
            else url_or_factory
        )
        pattern = make()
        _refuse_cluster(pattern)
        if not isinstance(pattern, AsyncRedis):
            raise ConfigurationError(["AsyncRedisStorage needs clients of redis.asyncio"])
        self._place = place_of(pattern)
        self._clients = OneForEachLoop(make, AsyncRedis.aclose)
        self._commands = RedisCommands(prefix)

    def __repr__(self) -> str:
        return f"AsyncRedisStorage({self._place!r})"

    async def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        answer = await self._run(self._commands.load(registration_id))
        return redis_commands.one_record(registration_id, answer)

    async def save(self, record: SealedRecord) -> bool:
        """See `Storage.save`."""
        return bool(await self._run(self._commands.save(record)) == 1)

    async def delete(self, registration_id: str, version: int) -> bool:
        """See `Storage.delete`."""
        return bool(await self._run(self._commands.delete(registration_id, version)) == 1)

    async def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """See `Storage.due`."""
        return redis_commands.page_of_records(await self._run(self._commands.due(by, limit, after)))

    async def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """See `Storage.list`."""
        return redis_commands.page_of_records(await self._run(self._commands.list(user_id, limit, after)))

    async def close(self) -> None:
        """Close the storage's connections. The next call opens them again."""
        await self._clients.close()

    async def _run(self, command: Command) -> Any:
        with explained(self._place):
            return await within(LONGEST, self._ask(command))

    async def _ask(self, command: Command) -> Any:
        began = time.monotonic()
        async with self._clients.lent() as client:
            while not redis_commands.is_ready(  # noqa: ASYNC110 (only the server knows)
                await _send(client, *redis_commands.ASK_HOW_IT_PERSISTS), waited=time.monotonic() - began
            ):
                await asyncio.sleep(PAUSE)
            (answer,) = await _send(client, command, **{NEVER_DECODE: True})
            return answer


async def _send(client: AsyncRedis, *commands: Command, **options: Any) -> Sequence[Any]:
    """Send the commands in one packet and return the answers; raise the first that is an error."""
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command, **options)
        return _without_errors(await pipeline.execute(raise_on_error=False))


def _without_errors(answers: Sequence[Any]) -> Sequence[Any]:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _refuse_cluster(client: object) -> None:
    if isinstance(client, (RedisCluster, AsyncRedisCluster)):
        raise ConfigurationError(["records are kept in one Redis server, not in a Redis Cluster"])


def _refuse_async(client: object) -> None:
    if isinstance(client, AsyncRedis):
        raise ConfigurationError(["RedisStorage needs a synchronous client; see AsyncRedisStorage"])
