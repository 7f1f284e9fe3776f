"""Redis: the records of older releases can be read and changed."""

from __future__ import annotations

from functools import partial

import pytest

from ca_embed.storage import AsyncRedisStorage, RedisStorage
from ca_embed.testing._storage_processes import OpenStorage
from ca_embed.testing._upgrade_contract import UpgradeContract
from tests.storage.local_servers import RedisServer
from tests.storage.releases import snapshots


@pytest.mark.parametrize("release", snapshots.RELEASES)
class TestRedis(UpgradeContract):
    """The keys of one prefix."""

    @pytest.fixture(params=[RedisStorage, AsyncRedisStorage])
    def open_storage(
        self, request: pytest.FixtureRequest, redis_server: RedisServer, prefix: str
    ) -> OpenStorage:
        """Open the keys of this test."""
        return partial(request.param, redis_server.url, prefix=prefix)

    @pytest.fixture
    def older_release(self, release: str, redis_server: RedisServer, prefix: str) -> None:
        """Create the keys as the older release stored them."""
        snapshots.restore_keys(release, redis_server, prefix)
