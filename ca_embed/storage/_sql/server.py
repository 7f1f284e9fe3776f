"""The differences between the SQL servers, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from ca_embed.storage._base import DueCursor

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Insert, Table
    from sqlalchemy.exc import DBAPIError

_Code = str | int


class Server(ABC):
    """One kind of SQL server: how its transactions are made durable and short, and what its errors mean.

    missing_table: the error codes for a table that does not exist.
    conflicts: the error codes for a transaction that was rolled back and may be repeated.
    remedies: what to do about an error, by its code.
    """

    missing_table: ClassVar[frozenset[_Code]]
    conflicts: ClassVar[frozenset[_Code]]
    remedies: ClassVar[Mapping[_Code, str]]

    @abstractmethod
    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Begin a durable transaction for the block. Commit it at the end; roll it back after an error.

        No statement in it waits longer than the protocol allows. Settings of the connection are restored,
        because it may belong to the pool of the host. Raises StorageUnavailable if the configuration of
        the server allows it to lose a commit.
        """

    @abstractmethod
    def insert(self, table: Table) -> Insert:
        """Return an INSERT that changes nothing, or fails as a duplicate, if the id exists already."""

    @abstractmethod
    def is_duplicate(self, error: DBAPIError) -> bool:
        """Return True if an INSERT failed because the id exists already, and False for any other error."""

    @abstractmethod
    def after(self, table: Table, cursor: DueCursor) -> ColumnElement[bool]:
        """Return the condition for records after the cursor, in a form that can use the index."""

    @abstractmethod
    def lock_for_creation(self, connection: Connection, name: str) -> AbstractContextManager[None]:
        """Hold a lock during the block, so that one process at a time creates the table."""

    @abstractmethod
    def code(self, error: DBAPIError) -> _Code | None:
        """Return the code that the server gives to this error, or None if it has none."""

    def to_name(self, name: str) -> Any:
        """Return an id in the type of the table's column."""
        return name

    def from_name(self, name: Any) -> str:
        """Return the id for a value of the table's column: the reverse of `to_name`."""
        return str(name)
