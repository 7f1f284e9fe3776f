"""The table of `DjangoStorage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models

if TYPE_CHECKING:  # Django has no type information

    class _Field:
        def __init__(self, **options: Any) -> None: ...

    class _Model:
        objects: ClassVar[Any]

else:
    _Field, _Model = models.Field, models.Model

# Compared and sorted byte by byte, whatever the database does with text by default.
_TYPES = {"mysql": "varbinary(1020)", "postgresql": 'varchar(255) COLLATE "C"'}


class ExactText(_Field):
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


class Registration(_Model):
    """A registration as it is stored: sealed. `embed.registration()` opens it."""

    registration_id: Any = ExactText(primary_key=True)
    version: Any = models.BigIntegerField()
    user_id: Any = ExactText(null=True)
    due_at: Any = models.FloatField(null=True)
    document: Any = models.BinaryField()

    class Meta:
        """An index for each of the two orders in which registrations are read."""

        indexes: ClassVar[tuple[Any, ...]] = (
            models.Index(fields=["due_at", "registration_id"], name="ca_embed_due"),
            models.Index(fields=["user_id", "registration_id"], name="ca_embed_user"),
        )

    def __str__(self) -> str:
        return str(self.registration_id)
