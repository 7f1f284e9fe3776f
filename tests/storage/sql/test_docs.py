"""Runs the SQLAlchemy and Alembic examples of docs/storage.md unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import declarative_base

from ca_embed.testing._storage_processes import record
from tests.markdown import python_blocks
from tests.storage.local_servers import LocalServer

PAGE = (Path(__file__).parents[3] / "docs" / "storage.md").read_text(encoding="utf-8")
ENGINE, ALEMBIC, *_ = python_blocks(PAGE)
TABLE = "whatsapp_registrations"


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_your_own_engine(kind: str, request: pytest.FixtureRequest) -> None:
    """The table in the database and the table in the host's MetaData are the same."""
    server: LocalServer = request.getfixturevalue(kind)
    names: dict[str, Any] = {"DATABASE_URL": server.url, "Base": declarative_base()}
    exec(ENGINE, names)
    exec(ALEMBIC, names)
    storage, engine, known = names["storage"], names["engine"], names["Base"].metadata.tables[TABLE]
    try:
        assert storage.save(record("r")) is True
        assert storage.load("r") == record("r")
        there = [column["name"] for column in inspect(engine).get_columns(TABLE)]
        assert there == [column.name for column in known.columns]
    finally:
        known.drop(engine)
        engine.dispose()


def test_every_block_is_run() -> None:
    """The page has no other example, except those that test_write_your_own.py runs."""
    assert python_blocks(PAGE.partition("## Write your own")[0]) == [ENGINE, ALEMBIC]
