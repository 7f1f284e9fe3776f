"""What is said if an optional library is not installed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def extra(name: str, *, user: str) -> Generator[None]:
    """Import an optional library inside the block. If it is missing, name it and the extra that has it.

    user: what needs the library. Raises ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            missing(error, f"'ca-embed[{name}]'", user=user), name=error.name
        ) from error


def missing(error: ImportError, packages: str, *, user: str) -> str:
    """Return the sentence for a library that cannot be imported. packages: what pip must install."""
    return f"{user} needs {error.name or 'a library'}, which is missing: pip install {packages}"
