"""The table of the SQL storages, defined for SQLAlchemy and Alembic."""

from __future__ import annotations

import re

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, MetaData, String, Table
from sqlalchemy.dialects.mysql import LONGBLOB, VARBINARY

from ca_embed.errors import ConfigurationError

PREFIX = "ca_embed_"

# Ids are compared byte by byte and sorted by code point, which is the order of their UTF-8. The binary
# collations of MySQL ignore spaces at the end, and have other names in MariaDB. So MySQL stores bytes.
_NAME = String(255, collation="C").with_variant(VARBINARY(4 * 255), "mysql", "mariadb")
_DOCUMENT = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")


def add_table(metadata: MetaData, table_prefix: str = PREFIX) -> Table:
    """Add the table of the records to your MetaData, for your migrations, and return it.

    A second call with the same arguments returns the same table. Raises ConfigurationError if the prefix
    has more than 40 characters, or others than letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,39}|", table_prefix):
        raise ConfigurationError(["table_prefix must be at most 40 letters, digits and underscores"])
    name = f"{table_prefix}registrations"
    known = metadata.tables.get(f"{metadata.schema}.{name}" if metadata.schema else name)
    return _table(name, metadata) if known is None else known


def _table(name: str, metadata: MetaData) -> Table:
    table = Table(
        name,
        metadata,
        Column("registration_id", _NAME, primary_key=True),
        Column("version", BigInteger, nullable=False),
        Column("user_id", _NAME),
        Column("due_at", Double),
        Column("document", _DOCUMENT, nullable=False),
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    registration_id, user_id, due_at = table.c.registration_id, table.c.user_id, table.c.due_at
    Index(f"{name}_by_due", due_at, registration_id, postgresql_where=due_at.is_not(None))
    Index(f"{name}_by_user", user_id, registration_id, postgresql_where=user_id.is_not(None))
    return table
