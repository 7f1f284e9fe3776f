"""Django: a reusable app, under WSGI and ASGI.

    INSTALLED_APPS = [..., "ca_embed.adapters.django"]
    CA_EMBED = {"BASE_URL": ..., "PARTNER_TOKEN": ..., "PUBLIC_URL": ..., "ENCRYPTION_KEYS": [...]}
    SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"

    urlpatterns = [..., path("chatarchitect/", include("ca_embed.adapters.django.urls"))]

    {% load chatarchitect %} {% chatarchitect %}

The keys of `CA_EMBED` are the arguments of `Embed` in capitals. The environment gives those that are
missing. Without `STORAGE`, registrations are stored in your own database (run `migrate`). Without
`IDENTIFY`, the user is `request.user`. Put handlers into a module `chatarchitect` in any of your apps. It
is imported at the start:

    from ca_embed.adapters.django import embed

    @embed.on_completed
    def connect(registration, credentials): ...

Let cron run `manage.py chatarchitect reconcile`.
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

__all__ = ["embed"]


def _signed_in_user(request: Any) -> Any:
    """Return the primary key of `request.user`, or None. This is the default of `IDENTIFY`."""
    return request.user.pk if request.user.is_authenticated else None


@cache
def _get_embed() -> Embed:
    """Return the Embed that the settings describe. Raises ConfigurationError."""
    from ca_embed.adapters.django._connections import fresh_connections
    from ca_embed.embed import Embed

    arguments = {key.lower(): value for key, value in getattr(settings, "CA_EMBED", {}).items()}
    identify = arguments.pop("identify", _signed_in_user)
    arguments["identify"] = import_string(identify) if isinstance(identify, str) else identify
    if not arguments.get("storage", environ.get("CA_EMBED_STORAGE")):
        from ca_embed.adapters.django._storage import DjangoStorage

        arguments["storage"] = DjangoStorage()
    built = Embed.from_env(**arguments)
    built._core.handlers.context = fresh_connections
    return built


embed: Embed = SimpleLazyObject(_get_embed)
