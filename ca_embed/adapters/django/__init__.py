"""Django: a reusable app, under WSGI and ASGI.

    INSTALLED_APPS = [..., "ca_embed.adapters.django"]
    CA_EMBED = {"BASE_URL": ..., "PARTNER_TOKEN": ..., "PUBLIC_URL": ..., "ENCRYPTION_KEYS": [...]}
    SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"

    urlpatterns = [..., path("chatarchitect/", include("ca_embed.adapters.django.urls"))]

    {% load chatarchitect %} {% chatarchitect %}

The keys of `CA_EMBED` are the arguments of `Embed` in capitals; what is missing there is taken from the
environment. Without `STORAGE`, registrations are kept in your own database (run `migrate`); without
`IDENTIFY`, the user is `request.user`. Handlers live in a module `chatarchitect` of any of your apps,
which is imported at the start:

    from ca_embed.adapters.django import embed

    @embed.on_completed
    def connect(registration, credentials): ...

`manage.py chatarchitect reconcile` is what cron calls.
"""

from __future__ import annotations

from functools import cache
from os import environ
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from ca_embed.embed import Embed


def signed_in_user(request: Any) -> Any:
    """Return the primary key of `request.user`, or None: what `identify` is if you name no other."""
    return request.user.pk if request.user.is_authenticated else None


@cache
def get_embed() -> Embed:
    """Return the Embed of the settings. Raises ConfigurationError."""
    from ca_embed.embed import Embed

    arguments = {key.lower(): value for key, value in getattr(settings, "CA_EMBED", {}).items()}
    identify = arguments.pop("identify", signed_in_user)
    arguments["identify"] = import_string(identify) if isinstance(identify, str) else identify
    if not arguments.get("storage", environ.get("CA_EMBED_STORAGE")):
        from ca_embed.adapters.django.storage import DjangoStorage

        arguments["storage"] = DjangoStorage()
    return Embed.from_env(**arguments)


embed: Embed = SimpleLazyObject(get_embed)
