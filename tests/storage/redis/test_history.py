"""Redis: each call is explained, while the server is killed, stopped and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from ca_embed.storage import RedisStorage
from ca_embed.testing import Fault, HistoryContract
from ca_embed.testing._storage_processes import OpenStorage
from tests.storage.history_faults import cut_redis, server_faults
from tests.storage.local_servers import RedisServer


class TestRedis(HistoryContract):
    """Redis."""

    calls = 1000

    @pytest.fixture
    def open_storage(self, redis_server: RedisServer, prefix: str) -> OpenStorage:
        """Open the keys of this test."""
        return partial(RedisStorage, redis_server.url, prefix=prefix)

    @pytest.fixture
    def faults(self, redis_server: RedisServer) -> Sequence[Fault]:
        """The server is stopped, killed and started again, and its connections are cut."""
        return server_faults(redis_server, partial(cut_redis, redis_server))
