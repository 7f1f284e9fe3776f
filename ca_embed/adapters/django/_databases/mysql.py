"""MySQL and MariaDB on Django's own connection."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.db import transaction
from django.db.utils import Error

from ca_embed.adapters.django._databases.base import NO_TABLE, Database
from ca_embed.storage._sql import mysql_rules
from ca_embed.storage._sql.mysql_rules import LOCK_WAIT

_SET_WAITS = "SET SESSION lock_wait_timeout = %s, innodb_lock_wait_timeout = %s"


class MySQL(Database):
    """MySQL or MariaDB. Session settings are restored after each operation."""

    connect_options: ClassVar = {"connect_timeout": 2, "read_timeout": 3, "write_timeout": 3}
    conflicts = mysql_rules.CONFLICTS
    remedies: ClassVar = {**mysql_rules.REMEDIES, 1146: NO_TABLE}

    @contextmanager
    def transaction(
        self,
        connection: Any,
        *,
        writes: bool,  # noqa: ARG002 (the protocol's)
        seconds_left: Callable[[], float],  # noqa: ARG002
    ) -> Generator[None]:
        """See `Database.transaction`."""
        with connection.cursor() as cursor:
            cursor.execute(mysql_rules.BEGIN)
            any_wait, row_wait, *durability = cursor.fetchone()
            mysql_rules.require_durability(*durability)
            cursor.execute(_SET_WAITS, (LOCK_WAIT, LOCK_WAIT))
        try:
            with transaction.atomic(connection.alias):
                yield
        finally:
            _restore(connection, any_wait, row_wait)

    def code(self, error: BaseException) -> int | None:
        """Return the error number: the first argument of the error that the driver raises."""
        return error.args[0] if error.args and isinstance(error.args[0], int) else None


def _restore(connection: Any, any_wait: int, row_wait: int) -> None:
    """Restore the settings of the session. If that fails, close the connection."""
    if connection.connection is None:  # already closed
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SET_WAITS, (any_wait, row_wait))
    except Error:
        connection.close()
