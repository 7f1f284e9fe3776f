"""The table of `DjangoStorage`."""
# mypy: disable-error-code="import-untyped,misc"

from __future__ import annotations

from typing import Any

from django.db import models

# Compared and sorted byte by byte. By default, some databases ignore case or accents.
_TYPES = {"mysql": "varbinary(1020)", "postgresql": 'varchar(255) COLLATE "C"'}


class ExactText(models.Field):
    """Text of at most 255 characters. Two different texts are never equal, and texts sort by code point."""

    def db_type(self, connection: Any) -> str:
        """Return the column's type."""
        return _TYPES.get(connection.vendor, "varchar(255)")

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: ARG002
        """Encode the text for a database that stores it as bytes."""
        return value.encode() if isinstance(value, str) and connection.vendor == "mysql" else value

    def from_db_value(self, value: Any, *_: Any) -> Any:
        """Decode the text from a database that stores it as bytes."""
        return value.decode() if isinstance(value, bytes) else value


class Registration(models.Model):
    """A registration as it is stored: sealed. `embed.registration()` opens it."""

    registration_id = ExactText(primary_key=True)
    version = models.BigIntegerField()
    user_id = ExactText(null=True)
    due_at = models.FloatField(null=True)
    document = models.BinaryField()

    class Meta:
        """An index for each of the two orders in which registrations are read."""

        indexes = (
            models.Index(fields=["due_at", "registration_id"], name="ca_embed_due"),
            models.Index(fields=["user_id", "registration_id"], name="ca_embed_user"),
        )

    def __str__(self) -> str:
        return str(self.registration_id)
