"""Stores records in the host's own database, on Django's own connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import Q
from django.db.utils import Error

from ca_embed.adapters.django.models import Registration
from ca_embed.errors import StorageUnavailable
from ca_embed.storage._base import DueCursor, SealedRecord

_COLUMNS = ("registration_id", "version", "user_id", "due_at", "document")


class DjangoStorage:
    """Stores records in the table that the app's migrations create.

    using: the alias of the database; by default, Django's routing chooses it.

    Writing is refused inside a transaction of the host, because the host might roll it back. How long it
    waits for a busy database is set in `DATABASES`.
    """

    def __init__(self, using: str | None = None) -> None:
        """Open no connection: Django opens it."""
        self._using = using

    def load(self, registration_id: str) -> SealedRecord | None:
        """Return the record of that id, or None if there is none."""
        found = self._read(Q(registration_id=registration_id), limit=1)
        return found[0] if found else None

    def save(self, record: SealedRecord) -> bool:
        """Store the record if the version before it is the stored one; else return False."""
        values = {name: getattr(record, name) for name in _COLUMNS}
        with self._writing() as rows:
            if record.version > 1:
                before = rows.filter(registration_id=record.registration_id, version=record.version - 1)
                return bool(before.update(**values))
            try:
                with transaction.atomic(rows.db):
                    rows.create(**values)
            except IntegrityError:
                return False
            return True

    def delete(self, registration_id: str, version: int) -> bool:
        """Remove the record if its stored version is `version`; else return False."""
        with self._writing() as rows:
            return bool(rows.filter(registration_id=registration_id, version=version).delete()[0])

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
        with self._rows() as rows:
            found = rows.filter(page).order_by(*order).values(*_COLUMNS)[:limit]
            return [SealedRecord(**{**row, "document": bytes(row["document"])}) for row in found]

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """Yield the rows, in a transaction that no other code can roll back."""
        with self._rows() as rows:
            connection = connections[rows.db]
            if connection.in_atomic_block and not _in_test_case(connection):
                raise StorageUnavailable(
                    "called inside transaction.atomic(), which might undo what ca_embed acknowledges: "
                    "call it outside, or from transaction.on_commit(), or mark the view non_atomic_requests"
                )
            with transaction.atomic(rows.db):
                yield rows

    @contextmanager
    def _rows(self) -> Iterator[Any]:
        """Yield the rows of the database for writing. Close its connection afterwards, unless it was open.

        Django closes connections at the end of a request, but a storage may be used in any thread.
        """
        alias = self._using or router.db_for_write(Registration)
        connection = connections[alias]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        was_open = connection.connection is not None
        try:
            yield Registration.objects.using(alias)
        except Error as error:
            hint = "; run `manage.py migrate`" if "ca_embed_registration" in str(error) else ""
            message = f"the database {alias!r} failed: {type(error).__name__}{hint}"
            raise StorageUnavailable(message) from error
        finally:
            if not was_open:
                connection.close()


def _in_test_case(connection: Any) -> bool:
    """Tell whether all transactions around the call are those in which `TestCase` runs a test."""
    return all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
