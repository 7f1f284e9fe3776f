"""Keeps records in Redis. Several machines may share the server."""

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
from ca_embed.storage._lending import ResourcePerLoop
from ca_embed.storage._redis import commands as redis_commands
from ca_embed.storage._redis.commands import Command, RedisCommands
from ca_embed.storage._redis.server import (
    address_of,
    async_client_from_url,
    client_from_url,
    translate_errors,
)

_TIME_LIMIT = 4.2  # seconds for one call of the asynchronous storage in total
_PAUSE = 0.01  # seconds between two queries while the server rewrites its append-only file


class RedisStorage:
    """Keeps records in one Redis server, version 6.2 or later.

    url_or_client: `redis://...`, `rediss://...`, or your own client. You set the timeouts and retries of
        your own client.
    prefix: the beginning of all keys.

    A saved record is on the disk of the server. Only a server with `appendonly yes`, `appendfsync always`
    and `maxmemory-policy noeviction` is accepted. Raises ConfigurationError if an argument is wrong.
    """

    def __init__(self, url_or_client: str | Redis, *, prefix: str = redis_commands.PREFIX) -> None:
        """Check the arguments. The storage connects when it is first used."""
        _refuse_cluster(url_or_client)
        _refuse_async(url_or_client)
        self._is_ours = isinstance(url_or_client, str)
        self._client = client_from_url(url_or_client) if isinstance(url_or_client, str) else url_or_client
        self._commands = RedisCommands(prefix)
        self._gate = ForkGate()

    def __repr__(self) -> str:
        return f"RedisStorage({address_of(self._client)!r})"

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record with this id, or None if there is none."""
        reply = self._run(self._commands.load(registration_id))
        return redis_commands.one_record(registration_id, reply)

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the stored version is `record.version - 1`; else return False."""
        return bool(self._run(self._commands.save(record)) == 1)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if the stored version is `version`; else return False."""
        return bool(self._run(self._commands.delete(registration_id, version)) == 1)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records with `due_at <= by`, earliest first, after the cursor."""
        return redis_commands.page_of_records(self._run(self._commands.due(by, limit, after)))

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records in the order of their ids, after the id `after`.

        With `user_id`, return only the records of this user.
        """
        return redis_commands.page_of_records(self._run(self._commands.list(user_id, limit, after)))

    def close(self) -> None:
        """Close unused connections, but not those of your own client. The next call opens them again."""
        if self._is_ours:
            with self._gate.passing():
                self._client.connection_pool.disconnect(inuse_connections=False)

    def _run(self, command: Command) -> Any:
        began = time.monotonic()
        with self._gate.passing(), translate_errors(address_of(self._client)):
            while not redis_commands.is_ready(
                self._send(*redis_commands.PERSISTENCE_QUERIES), waited=time.monotonic() - began
            ):
                time.sleep(_PAUSE)
            (reply,) = self._send(command, **{NEVER_DECODE: True})
            return reply

    def _send(self, *commands: Command, **options: Any) -> Sequence[Any]:
        """Send the commands in one packet and return the replies. Raise the first reply that is an error."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command, **options)  # type: ignore[no-untyped-call]
        # With raise_on_error, redis-py would put the command, and with it the record, into the error.
        return _without_errors(pipeline.execute(raise_on_error=False))


class AsyncRedisStorage:
    """Keeps records in one Redis server, version 6.2 or later, with asynchronous clients.

    url_or_factory: `redis://...`, `rediss://...`, or a function that returns a new `redis.asyncio.Redis`
        with a pool of its own. The function is called once at the start, to check the client, and once
        for each event loop, because a connection belongs to one loop. The storage closes the clients.
    prefix: the beginning of all keys.

    A saved record is on the disk of the server. Only a server with `appendonly yes`, `appendfsync always`
    and `maxmemory-policy noeviction` is accepted. Raises ConfigurationError if an argument is wrong.
    """

    def __init__(
        self, url_or_factory: str | Callable[[], AsyncRedis], *, prefix: str = redis_commands.PREFIX
    ) -> None:
        """Check the arguments. The storage connects when it is first used."""
        _refuse_cluster(url_or_factory)
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
        self._address = address_of(pattern)
        self._clients = ResourcePerLoop(make, AsyncRedis.aclose)
        self._commands = RedisCommands(prefix)

    def __repr__(self) -> str:
        return f"AsyncRedisStorage({self._address!r})"

    async def load(self, registration_id: str) -> SealedRecord | None:
        """See `Storage.load`."""
        reply = await self._run(self._commands.load(registration_id))
        return redis_commands.one_record(registration_id, reply)

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
        with translate_errors(self._address):
            return await within(_TIME_LIMIT, self._ask(command))

    async def _ask(self, command: Command) -> Any:
        began = time.monotonic()
        async with self._clients.lend() as client:
            while not redis_commands.is_ready(  # noqa: ASYNC110 (there is no event to wait for)
                await _send(client, *redis_commands.PERSISTENCE_QUERIES), waited=time.monotonic() - began
            ):
                await asyncio.sleep(_PAUSE)
            (reply,) = await _send(client, command, **{NEVER_DECODE: True})
            return reply


async def _send(client: AsyncRedis, *commands: Command, **options: Any) -> Sequence[Any]:
    """Send the commands in one packet and return the replies. Raise the first reply that is an error."""
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command, **options)
        return _without_errors(await pipeline.execute(raise_on_error=False))


def _without_errors(replies: Sequence[Any]) -> Sequence[Any]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _refuse_cluster(client: object) -> None:
    if isinstance(client, (RedisCluster, AsyncRedisCluster)):
        raise ConfigurationError(
            ["the storage needs a single Redis server, not a Redis Cluster: give it a Redis client or a URL"]
        )


def _refuse_async(client: object) -> None:
    if isinstance(client, AsyncRedis):
        raise ConfigurationError(["RedisStorage needs a synchronous client; see AsyncRedisStorage"])
