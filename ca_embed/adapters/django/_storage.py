"""Stores records in the host's own database, on Django's own connection."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import IntegrityError, router, transaction
from django.db.models import Q
from django.db.utils import Error

from ca_embed.adapters.django._databases.base import Database
from ca_embed.adapters.django._lending import close_sqlite, lend
from ca_embed.adapters.django.models import Registration
from ca_embed.errors import StorageUnavailable
from ca_embed.storage._base import DueCursor, SealedRecord
from ca_embed.storage._forks import ForkGate

_COLUMNS = ("registration_id", "version", "user_id", "due_at", "document")
_RETRIES_END = 2.5  # seconds before the time limit, after which a transaction is not repeated

_T = TypeVar("_T")


class DjangoStorage:
    """Stores records in the table that the app's migrations create.

    using: the alias of the database; by default, Django's routing chooses it.

    A saved record is on the disk of the database. A PostgreSQL, MySQL or MariaDB server or a SQLite file
    whose settings may lose commits is refused. So is writing inside a transaction of the host, because the
    host might roll it back.
    """

    def __init__(self, using: str | None = None) -> None:
        """Open no connection: Django opens it."""
        self._using = using
        self._gate = ForkGate(before_fork=lambda: close_sqlite(self._alias()))

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        found = self._read(Q(registration_id=registration_id), limit=1)
        return found[0] if found else None

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        values = {name: getattr(record, name) for name in _COLUMNS}

        def create(rows: Any) -> bool:
            try:
                with transaction.atomic(rows.db):
                    rows.create(**values)
            except IntegrityError:
                return False
            return True

        def replace(rows: Any) -> bool:
            before = rows.filter(registration_id=record.registration_id, version=record.version - 1)
            return bool(before.update(**values))

        return self._run(create if record.version == 1 else replace, writes=True)

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""

        def remove(rows: Any) -> bool:
            return bool(rows.filter(registration_id=registration_id, version=version).delete()[0])

        return self._run(remove, writes=True)

    def due(self, by: float, *, limit: int, after: DueCursor | None = None) -> Sequence[SealedRecord]:
        """Return at most `limit` records that are due by that time, earliest first, after the cursor."""
        page = Q(due_at__lte=by)
        if after is not None:
            page &= Q(due_at__gt=after.due_at) | Q(
                due_at=after.due_at, registration_id__gt=after.registration_id
            )
        return self._read(page, "due_at", "registration_id", limit=limit)

    def list(
        self, *, user_id: str | None = None, limit: int, after: str | None = None
    ) -> Sequence[SealedRecord]:
        """Return at most `limit` records, or one user's, by registration id. They begin after `after`."""
        page = Q(registration_id__gt=after or "")
        if user_id is not None:
            page &= Q(user_id=user_id)
        return self._read(page, "registration_id", limit=limit)

    def close(self) -> None:
        """Close nothing: the connections are Django's."""

    def _read(self, page: Q, *order: str, limit: int) -> Sequence[SealedRecord]:
        def read(rows: Any) -> list[SealedRecord]:
            found = rows.filter(page).order_by(*order).values(*_COLUMNS)[:limit]
            return [SealedRecord(**{**row, "document": _document(row["document"])}) for row in found]

        return self._run(read, writes=False)

    def _run(self, work: Callable[[Any], _T], *, writes: bool) -> _T:
        """Do the work with the rows of the database for writing, in a transaction, and return its result.

        It is repeated if the database rolled it back because of a conflict with another transaction.
        """
        alias = self._alias()
        with self._gate.passing(), _errors_translated(alias), lend(alias) as (connection, database, left):
            nested = connection.in_atomic_block
            if writes and nested and not _in_test_case(connection):
                raise StorageUnavailable(
                    "called inside transaction.atomic(), which might undo what ca_embed acknowledges: "
                    "call it outside, or from transaction.on_commit(), or mark the view non_atomic_requests"
                )
            while True:
                try:
                    with database.transaction(connection, writes=writes, seconds_left=left):
                        return work(Registration.objects.using(alias))
                except Error as error:
                    if nested or _code(database, error) not in database.conflicts or left() < _RETRIES_END:
                        raise StorageUnavailable(_problem(database, error)) from error

    def _alias(self) -> str:
        return self._using or str(router.db_for_write(Registration))


@contextmanager
def _errors_translated(alias: str) -> Generator[None]:
    """Turn each error of the database in the block into StorageUnavailable that names the database."""
    try:
        yield
    except StorageUnavailable as error:
        raise StorageUnavailable(f"the database {alias!r}: {error}") from error.__cause__
    except Error as error:  # while connecting or closing
        raise StorageUnavailable(f"the database {alias!r}: {_unknown(error)}") from error


def _problem(database: Database, error: Error) -> str:
    code = _code(database, error)
    return _unknown(error) if code is None else database.remedies.get(code, _unknown(error))


def _unknown(error: Error) -> str:
    said = str(error).strip().partition("\n")[0]
    return f"it cannot be reached, or failed ({said or type(error).__name__})"


def _document(value: Any) -> bytes:
    """Return the bytes of a document. In a damaged row, SQLite may return text, which the seal refuses."""
    return value.encode() if isinstance(value, str) else bytes(value)


def _code(database: Database, error: Error) -> int | str | None:
    return None if error.__cause__ is None else database.code(error.__cause__)


def _in_test_case(connection: Any) -> bool:
    """Tell whether all transactions around the call are those in which `TestCase` runs a test."""
    return all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
