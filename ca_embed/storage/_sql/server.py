"""What differs between the SQL servers, and what each of them promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

from ca_embed.storage._base import DueCursor

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Insert, Table
    from sqlalchemy.exc import DBAPIError

LOCK_WAIT = 2  # seconds for the locks of others
STATEMENT_WAIT = 3  # seconds for one statement, where the server counts them

Code = str | int


class Server(ABC):
    """One kind of SQL server: how its transactions are safe and short, and what its errors mean."""

    missing_table: ClassVar[frozenset[Code]]
    conflicts: ClassVar[frozenset[Code]]  # the transaction was undone, and may be tried again
    remedies: ClassVar[Mapping[Code, str]]

    @abstractmethod
    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Open a transaction that is durable once it is committed, commit it at the end, undo it on errors.

        No statement in it waits longer than the protocol allows, and nothing of that is left on the
        connection, which may belong to the host's own pool. Raises StorageUnavailable if the server
        is set to forget.
        """

    @abstractmethod
    def insert(self, table: Table) -> Insert:
        """Return an insertion that changes nothing, or fails as a duplicate, if the place is taken."""

    @abstractmethod
    def is_duplicate(self, error: DBAPIError) -> bool:
        """Tell whether an insertion failed because the place is taken, and for no other reason."""

    @abstractmethod
    def after(self, table: Table, cursor: DueCursor) -> ColumnElement[bool]:
        """Return the condition for what follows the cursor, in the form that this server's index serves."""

    @abstractmethod
    def lock_for_creation(self, connection: Connection, name: str) -> AbstractContextManager[None]:
        """Let one process at a time create the tables."""

    @abstractmethod
    def code(self, error: DBAPIError) -> Code | None:
        """Return the server's own code of an error."""

    def to_name(self, name: str) -> Any:
        """Return an id as the table's column takes it."""
        return name

    def from_name(self, name: Any) -> str:
        """Return an id as it was before `to_name`."""
        return str(name)
