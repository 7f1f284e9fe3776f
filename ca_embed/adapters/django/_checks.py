"""System checks: they find wrong settings before the first customer does."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.urls import NoReverseMatch, reverse

from ca_embed.adapters.django import embed
from ca_embed.errors import ConfigurationError

_SECURITY = "django.middleware.security.SecurityMiddleware"


@register()
def configuration(**_: Any) -> list[CheckMessage]:
    """Report each setting that is missing or wrong."""
    try:
        embed._core  # noqa: B018 (builds it)
    except ConfigurationError as error:
        hint = "Set it in settings.CA_EMBED, in capitals, or in the environment."
        return [Error(problem, hint=hint, id="ca_embed.E001") for problem in error.problems]
    return []


@register(Tags.urls)
def mounted_where_it_says(**_: Any) -> list[CheckMessage]:
    """Report URLs that are not included, or not at the path of `public_url`."""
    try:
        public_path = embed._core.settings.public_path
        mount = reverse("chatarchitect:page").rstrip("/")
    except ConfigurationError:
        return []
    except NoReverseMatch:
        hint = 'Add path("chatarchitect/", include("ca_embed.adapters.django.urls")) to your urlpatterns.'
        return [Caution("The URLs of ca_embed are not included.", hint=hint, id="ca_embed.W002")]
    if public_path.endswith(mount):
        return []
    message = f"PUBLIC_URL has the path {public_path!r}, but the URLs of ca_embed are included at {mount!r}."
    hint = "Webhooks go to PUBLIC_URL: give both the same path, unless a proxy changes paths."
    return [Caution(message, hint=hint, id="ca_embed.W003")]


@register(Tags.security)
def popups(**_: Any) -> list[CheckMessage]:
    """Report Django's default policy, under which Meta's signup cannot open its window."""
    policy = settings.SECURE_CROSS_ORIGIN_OPENER_POLICY
    if policy != "same-origin" or _SECURITY not in settings.MIDDLEWARE:
        return []
    message = "Under Cross-Origin-Opener-Policy: same-origin, Meta's signup cannot open its window."
    hint = 'Set SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups".'
    return [Caution(message, hint=hint, id="ca_embed.W001")]
