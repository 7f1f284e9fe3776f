"""Create the table of registrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import migrations, models

from ca_embed.adapters.django.models import ExactText

if TYPE_CHECKING:
    _Migration = object  # Django has no type information
else:
    _Migration = migrations.Migration


class Migration(_Migration):
    """The first migration."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Registration",
            fields=[
                ("registration_id", ExactText(primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
                ("user_id", ExactText(null=True)),
                ("due_at", models.FloatField(null=True)),
                ("document", models.BinaryField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["due_at", "registration_id"], name="ca_embed_due"),
                    models.Index(fields=["user_id", "registration_id"], name="ca_embed_user"),
                ]
            },
        )
    ]
