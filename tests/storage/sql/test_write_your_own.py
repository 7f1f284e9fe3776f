"""The example storage in docs/storage.md passes the contract suite that the page shows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.markdown import python_blocks
from tests.storage.history_faults import cut_postgresql
from tests.storage.local_servers import PostgreSQLServer
from tests.storage.sql import troubles

PAGE = (Path(__file__).parents[3] / "docs" / "storage.md").read_text(encoding="utf-8")
STORAGE, SUITE, HISTORY, _DEPLOYMENT = python_blocks(PAGE.partition("## Write your own")[2])

shown: dict[str, Any] = {"__name__": __name__}
exec(SUITE, shown)
exec(HISTORY, shown)


def test_it_is_written_in_60_lines() -> None:
    """The example has at most 60 lines, as the page says."""
    assert "60 lines" in PAGE.partition("## Write your own")[2].partition("```")[0]
    assert len(STORAGE.splitlines()) <= 60


class _OnPostgreSQL:
    """The example, and a database for it."""

    @pytest.fixture
    def example(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """The example as a module that other processes can import."""
        (tmp_path / f"example_{tmp_path.name}.py").write_text(STORAGE, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        return import_module(f"example_{tmp_path.name}")

    @pytest.fixture
    def empty_test_database(self, example: ModuleType, postgresql: PostgreSQLServer) -> str:
        """Create the empty table, and return the address of the database."""
        shown["MyStorage"] = example.MyStorage
        with postgresql.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS records")
            connection.execute(example.TABLE)
        return postgresql.url.replace("+psycopg", "")


class TestMyStorage(_OnPostgreSQL, shown["TestMyStorage"]):
    """The suite from the page, with a database and its failures."""

    @pytest.fixture(params=["table locked", "away"])
    def trouble(
        self, request: pytest.FixtureRequest, postgresql: PostgreSQLServer
    ) -> AbstractContextManager[None]:
        """A failure of the server."""
        return troubles.postgresql_trouble(postgresql, "records", request.param)

    @pytest.fixture
    def damage(self, postgresql: PostgreSQLServer) -> Callable[[str], None]:
        """Damage one row."""

        def spoil(registration_id: str) -> None:
            with postgresql.connect() as connection:
                connection.execute("UPDATE records SET document = 'spoilt' WHERE id = %s", [registration_id])

        return spoil


class TestMyHistory(_OnPostgreSQL, shown["TestMyHistory"]):
    """The history from the page, with a server that is restarted and cut off."""

    calls = 400

    @pytest.fixture
    def server(self, postgresql: PostgreSQLServer) -> SimpleNamespace:
        """The server, with the names that the page uses."""
        cut = partial(cut_postgresql, postgresql)
        return SimpleNamespace(restarted=postgresql.away, connections_cut=cut)
