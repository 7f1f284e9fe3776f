"""RedisStorage keeps the contract on a real server, and refuses a server that may lose writes."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest
import redis
from redis._parsers.base import BaseParser
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import RedisCluster as AsyncRedisCluster

from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage._bridge import as_sync
from ca_embed.storage._redis.server import translate_errors
from ca_embed.storage._redis.storage import AsyncRedisStorage, RedisStorage
from ca_embed.testing._durable_storage_contract import DurableStorageContract
from ca_embed.testing._storage_processes import OpenStorage, record
from tests.flow.kit import wait_until
from tests.storage.local_servers import PASSWORD, RedisServer


@contextmanager
def _set(server: RedisServer, name: str, value: str) -> Iterator[None]:
    with server.connect() as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
        yield
        client.config_set(name, before)


@contextmanager
def _replica(server: RedisServer) -> Iterator[None]:
    with server.connect() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "9")
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")


class OnRedis(DurableStorageContract):
    """The contract suite, with failures and damage of a Redis server."""

    @pytest.fixture(params=["frozen", "away", "full", "read-only", "set to forget"])
    def trouble(
        self, request: pytest.FixtureRequest, redis_server: RedisServer
    ) -> AbstractContextManager[None]:
        """A failure of the server."""
        return {
            "frozen": redis_server.frozen,
            "away": redis_server.away,
            "full": lambda: _set(redis_server, "maxmemory", "1"),
            "read-only": lambda: _replica(redis_server),
            "set to forget": lambda: _set(redis_server, "appendfsync", "everysec"),
        }[request.param]()

    @pytest.fixture
    def damage(self, redis_server: RedisServer, prefix: str) -> Callable[[str], None]:
        """Damage one sealed document."""

        def spoil(registration_id: str) -> None:
            with redis_server.connect() as client:
                client.hset(f"{prefix}record:{registration_id}", "document", "spoilt")

        return spoil


class TestRedis(OnRedis):
    """The synchronous client of redis-py."""

    @pytest.fixture
    def open_storage(self, redis_server: RedisServer, prefix: str) -> OpenStorage:
        """Open the keys of this test."""
        return partial(RedisStorage, redis_server.url, prefix=prefix)


class TestAsyncRedis(OnRedis):
    """The asynchronous client of redis-py."""

    @pytest.fixture
    def open_storage(self, redis_server: RedisServer, prefix: str) -> OpenStorage:
        """Open the keys of this test."""
        return partial(AsyncRedisStorage, redis_server.url, prefix=prefix)


Kind = type[RedisStorage] | type[AsyncRedisStorage]
KINDS = pytest.mark.parametrize("kind", [RedisStorage, AsyncRedisStorage])


@KINDS
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "no"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
    ],
)
def test_a_server_that_is_set_to_forget_is_refused(
    kind: Kind, redis_server: RedisServer, prefix: str, name: str, value: str
) -> None:
    """The error names the setting. Reads and writes are refused until the setting is right again."""
    storage = as_sync(kind(redis_server.url, prefix=prefix))
    with _set(redis_server, name, value):
        for act in (lambda: storage.save(record("r")), lambda: storage.load("r")):
            with pytest.raises(StorageUnavailable, match=name):
                act()
    storage.load("r")
    storage.close()


def test_what_was_acknowledged_while_the_file_was_new_survives_kill_9(
    redis_server: RedisServer, prefix: str
) -> None:
    """A record that was saved just after the append-only file was turned on is not lost."""
    storage = RedisStorage(redis_server.url, prefix=prefix)
    for number in range(5):
        with redis_server.connect() as client:
            client.config_set("appendonly", "no")
            client.config_set("appendonly", "yes")
        assert storage.save(record(f"r{number}"))
        with redis_server.away():
            pass
        assert storage.load(f"r{number}") == record(f"r{number}")
    storage.close()


def test_what_was_acknowledged_survives_kill_9(redis_server: RedisServer, prefix: str) -> None:
    """A server that is killed right after its reply has the record when it is started again."""
    storage = RedisStorage(redis_server.url, prefix=prefix)
    saved = [record(f"r{number}", user_id="ann", due_at=1.0) for number in range(20)]
    assert all(map(storage.save, saved))
    with redis_server.away():
        pass
    assert sorted(storage.list(limit=99), key=lambda stored: stored.due_at or 0) == sorted(
        saved, key=lambda stored: stored.registration_id
    )
    storage.close()


CLIENT_OPTIONS = ({"decode_responses": True}, {"protocol": 3}, {"protocol": 2})


@pytest.mark.parametrize("options", CLIENT_OPTIONS, ids=str)
def test_the_host_may_bring_its_own_client(
    redis_server: RedisServer, prefix: str, options: dict[str, object]
) -> None:
    """Bytes stay bytes with each setting of the client. `close` leaves the client open."""
    with redis.Redis.from_url(redis_server.url, **options) as client:
        storage = RedisStorage(client, prefix=prefix)
        kept = record("r", 1, bytes(range(256)), user_id="Zoë", due_at=1.5)
        assert storage.save(kept) is True
        assert storage.load("r") == kept
        assert list(storage.due(2.0, limit=9)) == [kept]
        storage.close()
        assert client.ping()


@pytest.mark.parametrize("options", CLIENT_OPTIONS, ids=str)
def test_the_host_may_make_the_asynchronous_clients(
    redis_server: RedisServer, prefix: str, options: dict[str, object]
) -> None:
    """The storage creates one client for each event loop, with each setting, and closes it."""
    made: list[AsyncRedis] = []

    def make() -> AsyncRedis:
        made.append(AsyncRedis.from_url(redis_server.url, client_name=prefix, **options))
        return made[-1]

    storage = AsyncRedisStorage(make, prefix=prefix)
    kept = record("r", 1, bytes(range(256)), user_id="Zoë", due_at=1.5)

    async def use(*, saves: bool) -> None:
        assert await storage.save(kept) is saves
        both = await asyncio.gather(storage.load("r"), storage.due(2.0, limit=9))
        assert both == [kept, [kept]]
        await storage.close()

    made.clear()
    asyncio.run(use(saves=True))
    asyncio.run(use(saves=False))
    assert len(made) == 2
    with redis_server.connect() as client:
        wait_until(lambda: prefix not in {seen["name"] for seen in client.client_list()})


def test_loops_that_come_and_go_leave_no_connections(redis_server: RedisServer, prefix: str) -> None:
    """A host that uses a new loop for each request, and never closes the storage, keeps no connections."""

    def make() -> AsyncRedis:
        return AsyncRedis.from_url(redis_server.url, client_name=prefix)

    storage = AsyncRedisStorage(make, prefix=prefix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # this test leaves them open on purpose
        for _ in range(30):
            asyncio.run(storage.load("r"))
        gc.collect()
        with redis_server.connect() as client:
            wait_until(lambda: [seen["name"] for seen in client.client_list()].count(prefix) <= 1)
        as_sync(storage).close()
        gc.collect()


def test_a_client_that_waits_for_ever_is_given_up(redis_server: RedisServer, prefix: str) -> None:
    """The storage raises in time, also if the client of the host has no time limit."""
    storage = AsyncRedisStorage(
        partial(AsyncRedis.from_url, redis_server.url, socket_timeout=None), prefix=prefix
    )

    async def load() -> None:
        try:
            await storage.load("r")
        finally:
            await storage.close()

    with (
        redis_server.frozen(),
        pytest.raises(StorageUnavailable, match=r"did not answer within 4\.2 seconds"),
    ):
        asyncio.run(load())


@pytest.mark.parametrize("client", [AsyncRedis(), redis.Redis])
def test_a_client_of_the_wrong_kind_is_refused_by_the_asynchronous_storage(client: Any) -> None:
    """An instance would be shared by all loops, and a synchronous client would block them."""
    with pytest.raises(ConfigurationError, match="AsyncRedisStorage needs"):
        AsyncRedisStorage(client)


def test_an_asynchronous_client_is_refused_by_the_synchronous_storage() -> None:
    """The error names AsyncRedisStorage."""
    with pytest.raises(ConfigurationError, match="see AsyncRedisStorage"):
        RedisStorage(AsyncRedis())  # type: ignore[arg-type]


@KINDS
def test_no_text_shows_the_password(kind: Kind, redis_server: RedisServer) -> None:
    """Neither the repr of the storage nor the error for a wrong password contains it."""
    wrong = redis_server.url.replace(PASSWORD, "fake-wrong-password")
    storage = as_sync(kind(wrong))
    with pytest.raises(StorageUnavailable, match="refused the user or the password") as caught:
        storage.load("r")
    assert "fake-wrong-password" not in f"{caught.value!r} {caught.value} {storage!r}"
    storage.close()


@KINDS
@pytest.mark.parametrize("url", ["redis:", "redis://", "redis://:fake-password@host:port/0"])
def test_a_mistyped_url_is_told_the_form(kind: Kind, url: str) -> None:
    """The error shows the right form, and no password."""
    with pytest.raises(ConfigurationError, match="redis://user:password@host") as caught:
        kind(url)
    assert "fake-password" not in str(caught.value)


def test_a_cluster_is_refused() -> None:
    """A cluster would spread the keys of one record over several servers."""
    with pytest.raises(ConfigurationError, match="Cluster"):
        RedisStorage(redis.RedisCluster.__new__(redis.RedisCluster))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Cluster"):
        AsyncRedisStorage(lambda: AsyncRedisCluster.__new__(AsyncRedisCluster))  # type: ignore[arg-type,return-value]


class ClusterServer(RedisServer):
    """A Redis server in cluster mode. It is the only node, and has no slots yet."""

    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes"]


@pytest.fixture(scope="module")
def cluster_server() -> Iterator[RedisServer]:
    """A Redis server in cluster mode."""
    with ClusterServer.running() as server:
        yield server


@KINDS
@pytest.mark.parametrize("slots", [0, 16384])
def test_a_server_in_cluster_mode_is_refused(
    kind: Kind, slots: int, cluster_server: RedisServer, prefix: str
) -> None:
    """The error says so, with the remedy, for each operation, and whether or not the node has slots."""
    with cluster_server.connect() as client:
        if slots and not client.execute_command("CLUSTER", "SLOTS"):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, slots - 1)
    storage = as_sync(kind(cluster_server.url, prefix=prefix))
    for act in (
        lambda: storage.save(record("r")),
        lambda: storage.load("r"),
        lambda: storage.list(limit=9),
    ):
        with pytest.raises(StorageUnavailable, match="Redis Cluster: use a single Redis server"):
            act()
    storage.close()


@pytest.mark.parametrize(
    "reply", ["MOVED 1 127.0.0.1:9", "ASK 1 127.0.0.1:9", "CROSSSLOT Keys", "CLUSTERDOWN x"]
)
def test_a_proxy_of_a_cluster_is_named(reply: str) -> None:
    """The redirections of a cluster get the same hint, if the server does not say that it is a cluster."""
    with (
        pytest.raises(StorageUnavailable, match="Redis Cluster: use a single Redis server"),
        translate_errors("127.0.0.1:9/0"),
    ):
        raise BaseParser.parse_error(reply)


@KINDS
@pytest.mark.parametrize("prefix", ["", "white space", "x" * 65, "é"])
def test_a_prefix_must_be_visible(kind: Kind, prefix: str) -> None:
    """A prefix with spaces or other invisible characters is refused."""
    with pytest.raises(ConfigurationError, match="prefix"):
        kind("redis://127.0.0.1:1/0", prefix=prefix)
