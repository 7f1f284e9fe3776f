"""Checks that an object is a storage, when `Embed` is created and not at the first request."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from ca_embed.errors import ConfigurationError

if TYPE_CHECKING:
    from ca_embed.storage._base import AsyncStorage, Storage

_CALLS: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {  # the arguments that ca_embed passes
    "load": (("id",), {}),
    "save": (("record",), {}),
    "delete": (("id", 1), {}),
    "due": ((0.0,), {"limit": 1, "after": None}),
    "list": ((), {"user_id": None, "limit": 1, "after": None}),
    "close": ((), {}),
}
_SIGNATURES = {
    "load": "load(registration_id)",
    "save": "save(record)",
    "delete": "delete(registration_id, version)",
    "due": "due(by, *, limit, after=None)",
    "list": "list(*, user_id=None, limit, after=None)",
    "close": "close()",
}


def check_storage(candidate: object) -> Storage | AsyncStorage:
    """Return the candidate if it has all methods of `Storage` or all methods of `AsyncStorage`.

    Raises ConfigurationError otherwise. The error names each method that is missing, each method that
    cannot be called as the protocol says, and a mixture of coroutine functions and plain functions.
    """
    name = type(candidate).__name__
    if isinstance(candidate, type):
        raise ConfigurationError([f"storage is the class {candidate.__name__}: give an instance of it"])
    problems = [problem for method in _CALLS if (problem := _problem(candidate, method))]
    if not problems and len({_is_coroutine(candidate, method) for method in _CALLS}) > 1:
        plain = ", ".join(method for method in _CALLS if not _is_coroutine(candidate, method))
        problems = [f"all methods must be coroutine functions, or none; these are not: {plain}"]
    if problems:
        raise ConfigurationError([f"storage {name}: {problem}" for problem in problems])
    return cast("Storage | AsyncStorage", candidate)


def is_async(storage: Storage | AsyncStorage) -> TypeGuard[AsyncStorage]:
    """Return True if a checked storage is an AsyncStorage."""
    return _is_coroutine(storage, "load")


def _problem(candidate: object, name: str) -> str | None:
    method: Any = getattr(candidate, name, None)
    if not callable(method):
        return f"{_SIGNATURES[name]} is missing"
    arguments, keywords = _CALLS[name]
    try:
        inspect.signature(method).bind(*arguments, **keywords)
    except TypeError as error:
        return f"{name} cannot be called as {_SIGNATURES[name]}: {error}"
    except ValueError:  # a function written in C may have no signature
        return None
    return None


def _is_coroutine(candidate: object, name: str) -> bool:
    return inspect.iscoroutinefunction(getattr(candidate, name))
