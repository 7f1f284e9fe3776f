"""Is an object a storage? Told when `Embed` is built, not at the first customer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from ca_embed.errors import ConfigurationError

if TYPE_CHECKING:
    from ca_embed.storage._base import AsyncStorage, Storage

_CALLS: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {  # as ca_embed makes them
    "load": (("id",), {}),
    "save": (("record",), {}),
    "delete": (("id", 1), {}),
    "due": ((0.0,), {"limit": 1, "after": None}),
    "list": ((), {"user_id": None, "limit": 1, "after": None}),
    "close": ((), {}),
}
_FORMS = {
    "load": "load(registration_id)",
    "save": "save(record)",
    "delete": "delete(registration_id, version)",
    "due": "due(by, *, limit, after=None)",
    "list": "list(*, user_id=None, limit, after=None)",
    "close": "close()",
}


def check_storage(candidate: object) -> Storage | AsyncStorage:
    """Return the candidate if it has all methods of `Storage`, or all of `AsyncStorage`.

    Raises ConfigurationError naming each method that is missing, cannot be called as the protocol
    says, or is a coroutine function where the others are not.
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
    """Tell which of the two a checked storage is."""
    return _is_coroutine(storage, "load")


def _problem(candidate: object, name: str) -> str | None:
    method: Any = getattr(candidate, name, None)
    if not callable(method):
        return f"{_FORMS[name]} is missing"
    arguments, keywords = _CALLS[name]
    try:
        inspect.signature(method).bind(*arguments, **keywords)
    except TypeError as error:
        return f"{name} cannot be called as {_FORMS[name]}: {error}"
    except ValueError:  # written in C, and without a signature to look at
        return None
    return None


def _is_coroutine(candidate: object, name: str) -> bool:
    return inspect.iscoroutinefunction(getattr(candidate, name))
