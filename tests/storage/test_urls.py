"""Storage URLs: the known forms, and errors for wrong URLs that show no password."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from ca_embed.errors import ConfigurationError
from ca_embed.storage import AsyncSQLAlchemyStorage, MemoryStorage
from ca_embed.storage._bridge import SyncBridge
from ca_embed.storage._resolve import open_storage
from ca_embed.storage._urls import _FORMS, storage_from_url


def test_memory_says_what_it_is_for(caplog):
    """A warning is logged, in case it is used in production."""
    storage_from_url("memory:")
    assert "it forgets all credentials" in caplog.text


def test_memory():
    """Each `memory:` URL gives a new storage."""
    first, second = storage_from_url("memory:"), storage_from_url("memory:")
    assert isinstance(first, MemoryStorage)
    assert first is not second


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:/var/lib/ca_embed", "FilesystemStorage('/var/lib/ca_embed')"),
        ("file:///var/lib/ca embed%20", "FilesystemStorage('/var/lib/ca embed%20')"),
        ("sqlite:////var/lib/ca_embed.db", "SQLiteStorage('/var/lib/ca_embed.db')"),
        ("sqlite:///relative/to.db", f"SQLiteStorage('{Path.cwd()}/relative/to.db')"),
    ],
)
def test_paths_are_taken_as_they_stand(url, expected):
    """The path in the URL is the path of the storage. Nothing is opened or created yet."""
    assert repr(storage_from_url(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "memory",
        "memory:x",
        "file:relative",
        "file:",
        "file://host/folder",
        "sqlite:/one/slash.db",
        "sqlite://two/slashes.db",
        "sqlite:///",
        "sqlite:///folder/",
        "sqlite:///:memory:",
        "sqlite:///x.db?timeout=5",
        "SQLite:///x.db",
        "mysql+aiomysql://user:fake-password@host/name",
        "postgresql+asyncpg://user:fake-password@host",
        "postgresql+asyncpg://user:fake-password@host:port/name",
        "sqlite:user:fake-password@host",
        "user:fake-password@host",
        "fake-password",
    ],
)
def test_a_mistyped_url_is_told_the_forms(url):
    """The error names all known forms, and shows no more of the URL than its scheme."""
    with pytest.raises(ConfigurationError) as caught:
        storage_from_url(url)
    assert _FORMS in str(caught.value)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://user:fake-password@host/name", "SQLAlchemyStorage('postgresql+psycopg://host/name'"),
        ("postgresql://host/name", "SQLAlchemyStorage('postgresql+psycopg://host/name'"),
        ("mysql://host/name", "SQLAlchemyStorage('mysql+pymysql://host/name'"),
        ("rediss://:fake-password@host:6380/1", "RedisStorage("),
    ],
)
def test_other_spellings_are_understood(url, expected):
    """The URLs that hosters give work as they are."""
    assert repr(storage_from_url(url)).startswith(expected)
    assert "password" not in repr(storage_from_url(url))


def test_asyncpg_is_used_if_it_is_installed(monkeypatch):
    """The URL of an application that uses asyncpg gives a bridge to the asynchronous storage."""
    url = "postgresql+asyncpg://user:fake-password@host/name"
    storage = storage_from_url(url)
    assert isinstance(storage, SyncBridge)
    assert isinstance(storage._storage, AsyncSQLAlchemyStorage)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(
        ConfigurationError, match=r"pip install asyncpg; write postgresql\+psycopg://"
    ) as caught:
        storage_from_url(url)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("sqlite:relative.db", "sqlite:///relative.db"),
        ("sqlite://folder/relative.db", "sqlite:///folder/relative.db"),
        ("sqlite:/var/absolute.db", "sqlite:////var/absolute.db"),
        ("sqlite+aiosqlite:///x.db", "sqlite:///"),
        ("SQLite:///x.db", "sqlite:///"),
        ("postgresql+psycopg2://host/name", "postgresql+psycopg://"),
        ("mysql+aiomysql://host/name", "mysql+pymysql://"),
        ("redis+tls://host", "redis://"),
    ],
)
def test_the_right_spelling_is_named(url, right):
    """A URL that is nearly right is refused, and the error names the spelling to use."""
    with pytest.raises(ConfigurationError, match=re.escape(f"write {right} instead")):
        storage_from_url(url)


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_storage_must_be_named(nothing):
    """There is no default storage."""
    with pytest.raises(ConfigurationError, match="storage is missing"):
        open_storage(nothing)


def test_a_given_storage_is_checked_and_used():
    """A storage object is used unchanged. One that lacks a method is refused."""
    storage = MemoryStorage()
    assert open_storage(storage) is storage
    with pytest.raises(ConfigurationError, match=r"load\(registration_id\) is missing"):
        open_storage(object())
