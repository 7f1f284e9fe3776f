"""What needs an optional library, without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ca_embed import adapters

ADAPTERS = [*(path.stem for path in Path(adapters.__file__).parent.glob("[a-z]*.py")), "django"]
PROGRAM = """
import sys
sys.modules[sys.argv[1]] = None  # as if it were not installed
try:
    exec(sys.argv[2])
except Exception as error:
    print(type(error).__name__, error, type(error.__cause__).__name__, sep="; ")
"""


def without(module: str, statement: str) -> str:
    """Return what a statement raises without that module: its type, its message and the type of its cause."""
    command = [sys.executable, "-c", PROGRAM, module, statement]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_an_adapter(name: str) -> None:
    """An adapter without its framework says which extra to install."""
    module = {"aws": "mangum"}.get(name, name)
    told = without(module, f"import ca_embed.adapters.{name}")
    assert told.startswith(f"ModuleNotFoundError; ca_embed.adapters.{name} needs {module}")
    assert told.endswith(f", which is missing: pip install 'ca-embed[{name}]'; ModuleNotFoundError")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("storage.RedisStorage", "redis", "redis"),
        ("storage.AsyncRedisStorage", "redis", "redis"),
        ("storage.SQLAlchemyStorage", "sqlalchemy", "sqlalchemy"),
        ("storage.add_table", "sqlalchemy", "sqlalchemy"),
        ("testing", "pytest", "testing"),
    ],
)
def test_a_name(name: str, module: str, extra: str) -> None:
    """A storage without its library, and `ca_embed.testing` without pytest, say which extra to install."""
    package, _, member = name.partition(".")
    told = without(module, f"from ca_embed{'.' + package if member else ''} import {member or package}")
    assert told.startswith(f"ModuleNotFoundError; ca_embed.{name} needs {module}")
    assert f"pip install 'ca-embed[{extra}]'" in told


@pytest.mark.parametrize(
    ("scheme", "module", "extra"),
    [
        ("redis", "redis", "redis"),
        ("postgresql+psycopg", "psycopg", "postgres"),
        ("postgresql+psycopg", "sqlalchemy", "postgres"),
        ("mysql+pymysql", "pymysql", "mysql"),
    ],
)
def test_a_url(scheme: str, module: str, extra: str) -> None:
    """A storage URL whose driver is missing is a wrong setting, and the error says which extra to install."""
    told = without(
        module, f"from ca_embed.storage._urls import storage_from_url as s; s('{scheme}://u:fake-9@h/n')"
    )
    assert told.startswith("ConfigurationError")
    assert f"the storage needs {module}, which is missing: pip install 'ca-embed[{extra}]'" in told
    assert "fake-9" not in told
