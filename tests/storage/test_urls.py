"""Storage URLs: the known forms, and errors for wrong URLs that show no password."""

from __future__ import annotations

from pathlib import Path

import pytest

from ca_embed.errors import ConfigurationError
from ca_embed.storage import MemoryStorage
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
        "postgres://user:fake-password@host/name",
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
