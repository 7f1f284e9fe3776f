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

`manage.py chatarchitect` has all commands of `ca-embed`. Let cron run `manage.py chatarchitect reconcile`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ca_embed._extras import extra

with extra("django", user=__name__):
    from ca_embed.adapters.django._settings import embed_of

if TYPE_CHECKING:
    from django.urls import URLPattern

    from ca_embed.embed import Embed

__all__ = ["embed", "embed_from_setting", "urlpatterns_of"]


def embed_from_setting(name: str) -> Embed:
    """Return another Embed, for a second brand. It is built at its first use, like `embed`.

    name: the Django setting with its arguments, as in `CA_EMBED`. It must have a `NAMESPACE` of its own. The
        same name gives the same Embed.
    """
    return embed_of(name)


def urlpatterns_of(embed: Embed) -> list[URLPattern]:
    """Return the URL patterns of another Embed.

    Include them under a name: `path("brand-b/", include((urlpatterns_of(brand_b), "brand_b")))`. The template
    tag takes this name: `{% chatarchitect "brand_b" %}`.
    """
    from ca_embed.adapters.django._views import patterns

    return patterns(embed)


# Built from the settings at its first use. Registering a handler is not a use.
embed: Embed = embed_from_setting("CA_EMBED")
