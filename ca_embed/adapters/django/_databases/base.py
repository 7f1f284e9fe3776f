"""What each database must do, so that DjangoStorage keeps its promises on Django's own connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

NO_TABLE = "the table is missing: run `manage.py migrate`"


class Database(ABC):
    """One kind of database.

    connect_options: the time limits for a connection that the storage opens, as OPTIONS of `DATABASES`.
    conflicts: the error codes for a transaction that was rolled back and may be repeated.
    remedies: what to do about an error, by its code.
    """

    connect_options: ClassVar[Mapping[str, Any]] = {}
    conflicts: ClassVar[frozenset[str] | frozenset[int]] = frozenset()
    remedies: ClassVar[Mapping[str | int, str]]

    @abstractmethod
    def transaction(
        self, connection: Any, *, writes: bool, seconds_left: Callable[[], float]
    ) -> AbstractContextManager[None]:
        """Run a durable transaction in the block, in which each wait is limited. Then restore the settings.

        connection: Django's connection to this database.
        writes: whether the block writes.
        seconds_left: returns how long the operation may still take.

        Raises StorageUnavailable if the database may lose the commit.
        """

    @abstractmethod
    def code(self, error: BaseException) -> str | int | None:
        """Return the code of an error that the driver raised, or None."""
