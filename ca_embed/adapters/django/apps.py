"""The configuration of the Django app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.module_loading import autodiscover_modules

if TYPE_CHECKING:
    _AppConfig = object  # Django has no type information
else:
    from django.apps import AppConfig as _AppConfig


class CaEmbedConfig(_AppConfig):
    """Registers the system checks, and imports the modules that hold handlers."""

    name = "ca_embed.adapters.django"
    label = "ca_embed"
    verbose_name = "ChatArchitect"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and import the modules with handlers."""
        from ca_embed.adapters.django import _checks  # noqa: F401 (registers them)

        autodiscover_modules("chatarchitect")
