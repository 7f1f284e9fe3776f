"""An object that is not a storage is refused, and the error names what is missing."""

from __future__ import annotations

import pytest

from ca_embed.errors import ConfigurationError
from ca_embed.storage import MemoryStorage
from ca_embed.storage._checks import check_storage, is_async


def _problems(candidate):
    with pytest.raises(ConfigurationError) as caught:
        check_storage(candidate)
    return caught.value.problems


def _without(name):
    class Incomplete(MemoryStorage):
        pass

    setattr(Incomplete, name, None)
    return Incomplete()


@pytest.mark.parametrize("name", ["load", "save", "delete", "due", "list", "close"])
def test_a_missing_method_is_named(name):
    """Each missing method is named."""
    (problem,) = _problems(_without(name))
    assert problem.startswith(f"storage Incomplete: {name}(")
    assert problem.endswith(" is missing")


def test_everything_missing_is_told_at_once():
    """One error names all missing methods."""
    assert len(_problems(object())) == 6


class _Wrong(MemoryStorage):
    def load(self):
        """Take no id."""

    def delete(self, registration_id):
        """Take no version."""

    def due(self, by, limit):
        """Take no cursor."""

    def list(self, user_id=None, *, limit, after=None, colour):
        """Require an argument that ca_embed does not pass."""


def test_a_wrong_signature_is_named():
    """A method that cannot be called as the protocol says is refused with the right form."""
    problems = _problems(_Wrong())
    assert [problem.split(" cannot be called as ")[0].split(": ")[1] for problem in problems] == [
        "load",
        "delete",
        "due",
        "list",
    ]
    assert "cannot be called as due(by, *, limit, after=None): got an unexpected keyword" in problems[2]


class _More(MemoryStorage):
    def load(self, name, timeout=5):
        """Take another name and an optional argument, which is harmless."""


def test_more_than_is_needed_is_welcome():
    """Other names of positional arguments and more optional arguments are accepted."""
    storage = _More()
    assert check_storage(storage) is storage


def test_a_class_is_no_instance():
    """A class instead of an instance is refused, and the error says so."""
    assert _problems(MemoryStorage) == ("storage is the class MemoryStorage: give an instance of it",)


class _Async:
    async def load(self, registration_id):
        """Be asynchronous."""

    async def save(self, record):
        """Be asynchronous."""

    async def delete(self, registration_id, version):
        """Be asynchronous."""

    async def due(self, by, *, limit, after=None):
        """Be asynchronous."""

    async def list(self, *, user_id=None, limit, after=None):
        """Be asynchronous."""

    async def close(self):
        """Be asynchronous."""


class _Mixed(_Async):
    def delete(self, registration_id, version):
        """Be synchronous."""


def test_all_methods_are_coroutine_functions_or_none():
    """Both kinds are recognized. A mixture is refused, and the error names the plain methods."""
    assert is_async(check_storage(_Async()))
    assert not is_async(check_storage(MemoryStorage()))
    (problem,) = _problems(_Mixed())
    assert problem.endswith("these are not: delete")
