"""What an adapter says if its framework is not installed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Generator[None]:
    """Import the framework inside the block. A module that is missing is named with the extra that has it."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = (
            f"ca_embed.adapters.{name} needs {error.name}, which is missing: pip install 'ca-embed[{name}]'"
        )
        raise ModuleNotFoundError(message, name=error.name) from error
