"""PostgreSQL on Django's own connection."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.db import transaction

from ca_embed.adapters.django._databases.base import NO_TABLE, Database
from ca_embed.storage._sql import postgresql_rules
from ca_embed.storage._sql.standby import refuse_blind_driver, require_standby

_SETTINGS = ("lock_timeout", "statement_timeout", "client_min_messages", "synchronous_commit")
_ASK = f"SELECT {', '.join(f'current_setting({name!r})' for name in _SETTINGS)}"
_RESTORE = f"SELECT {', '.join(f'set_config({name!r}, %s, true)' for name in _SETTINGS)}"


class PostgreSQL(Database):
    """PostgreSQL. Settings hold for one transaction; inside one of the host's, they are restored."""

    connect_options: ClassVar = {"connect_timeout": 2}
    conflicts = postgresql_rules.CONFLICTS
    remedies: ClassVar = {**postgresql_rules.REMEDIES, "42P01": NO_TABLE}

    @contextmanager
    def transaction(
        self,
        connection: Any,
        *,
        writes: bool,  # noqa: ARG002 (the protocol's)
        seconds_left: Callable[[], float],  # noqa: ARG002
    ) -> Generator[None]:
        """See `Database.transaction`."""
        driver_connection = connection.connection
        with (
            require_standby(driver_connection) as warnings,
            _settings_kept(connection),
            transaction.atomic(connection.alias),
        ):
            with connection.cursor() as cursor:
                cursor.execute(postgresql_rules.BEGIN)
                *_, fsync, standby_names = cursor.fetchone()
            postgresql_rules.require_durability(fsync)
            refuse_blind_driver(driver_connection, standby_names)
            yield
            warnings.clear()  # from now on, a warning is about COMMIT

    def code(self, error: BaseException) -> str | None:
        """Return the SQLSTATE. psycopg 3 and psycopg2 name it differently."""
        return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


@contextmanager
def _settings_kept(connection: Any) -> Generator[None]:
    """Restore the settings after a block inside a transaction of the host. A rollback restores them, too."""
    if not connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(_ASK)
        before = cursor.fetchone()
    yield
    with connection.cursor() as cursor:
        cursor.execute(_RESTORE, before)
