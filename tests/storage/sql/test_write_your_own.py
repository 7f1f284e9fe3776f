"""The storage that docs/storage.md shows to authors is one: it keeps the contract."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from ca_embed.testing.durable_storage_contract import DurableStorageContract
from ca_embed.testing.storage_processes import OpenStorage
from tests.storage.local_servers import PostgreSQLServer
from tests.storage.sql import troubles

PAGE = Path(__file__).parents[3] / "docs" / "storage.md"


def _example() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (example,) = (block for block in blocks if "class MyStorage:" in block)
    return str(example)


def test_it_is_written_in_60_lines() -> None:
    """The page says so."""
    assert len(_example().splitlines()) <= 60


class TestMyStorage(DurableStorageContract):
    """The suite."""

    @pytest.fixture
    def example(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """The example as a module, which other processes can import."""
        (tmp_path / f"example_{tmp_path.name}.py").write_text(_example(), encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        return import_module(f"example_{tmp_path.name}")

    @pytest.fixture
    def open_storage(self, example: ModuleType, postgresql: PostgreSQLServer) -> OpenStorage:
        """Open the table, which each test finds empty."""
        with postgresql.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS records")
            connection.execute(example.TABLE)
        return partial(example.MyStorage, postgresql.url.replace("+psycopg", ""))

    @pytest.fixture(params=["table locked", "away"])
    def trouble(
        self, request: pytest.FixtureRequest, postgresql: PostgreSQLServer
    ) -> AbstractContextManager[None]:
        """What may befall the server."""
        return troubles.postgresql_trouble(postgresql, "records", request.param)

    @pytest.fixture
    def damage(self, postgresql: PostgreSQLServer) -> Callable[[str], None]:
        """Spoil one row."""

        def spoil(registration_id: str) -> None:
            with postgresql.connect() as connection:
                connection.execute("UPDATE records SET document = 'spoilt' WHERE id = %s", [registration_id])

        return spoil
