"""Registrations in the admin: read-only and without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.utils.html import format_html

from ca_embed.adapters.django._settings import all_embeds
from ca_embed.adapters.django.models import Registration

if TYPE_CHECKING:

    class _ModelAdmin:  # Django has no type information
        def get_queryset(self, request: Any) -> Any: ...

else:
    from django.contrib.admin import ModelAdmin as _ModelAdmin


@admin.register(Registration)
class RegistrationAdmin(_ModelAdmin):
    """Shows the user and the status of each registration."""

    list_display: ClassVar[tuple[str, ...]] = (
        "registration_id",
        "user_id",
        "status",
        "phone",
        "completed_at",
        "operators_page",
    )
    list_per_page = 50
    search_fields: ClassVar[tuple[str, ...]] = ("registration_id__exact", "user_id__exact")
    search_help_text = "A registration id or a user id, in full."
    fields: ClassVar[tuple[str, ...]] = list_display
    readonly_fields: ClassVar[tuple[str, ...]] = list_display

    def get_queryset(self, request: Any) -> Any:
        """Leave out ca_embed's own records: their ids have a "~", which no registration's has."""
        registrations = super().get_queryset(request).filter(registration_id__lt="~")
        return registrations.exclude(registration_id__contains=":~")  # those of a namespace

    def status(self, row: Registration) -> Any:
        """The status."""
        return self._opened(row, "status")

    def phone(self, row: Registration) -> Any:
        """The number that was registered."""
        return self._opened(row, "phone")

    def completed_at(self, row: Registration) -> Any:
        """When it was completed."""
        return self._opened(row, "completed_at")

    def operators_page(self, row: Registration) -> Any:
        """A link to the operator's page of the registration, if `STAFF` is set."""
        namespace, _, registration_id = row.registration_id.rpartition(":")
        for embed in all_embeds().values():
            core = embed._core
            if core.staff is not None and (core.settings.namespace or "") == namespace:
                url = f"{core.settings.public_path}/staff/{registration_id}"
                return format_html('<a href="{}">Open</a>', url)
        return None

    def has_add_permission(self, *_: Any) -> bool:
        """Allow no adding: registrations come from ChatArchitect."""
        return False

    def has_change_permission(self, *_: Any) -> bool:
        """Allow no editing: the documents are sealed."""
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        """Allow no deleting: credentials would be lost."""
        return False

    def _opened(self, row: Registration, name: str) -> Any:
        namespace, _, registration_id = row.registration_id.rpartition(":")
        for embed in all_embeds().values():
            if (embed._core.settings.namespace or "") == namespace:
                found = embed.registration(registration_id)
                if found is not None:
                    return getattr(found, name)
        return None
