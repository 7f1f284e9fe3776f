"""System checks: they find wrong settings before the first customer does."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as Caution
from django.urls import NoReverseMatch, reverse

from ca_embed.adapters.django._mounts import DEFAULT_NAME, mounts
from ca_embed.adapters.django._settings import all_embeds
from ca_embed.errors import ConfigurationError

_SECURITY = "django.middleware.security.SecurityMiddleware"
_MAIN = "CA_EMBED"


@register()
def configuration(**_: Any) -> list[CheckMessage]:
    """Report each setting that is missing or wrong."""
    messages: list[CheckMessage] = []
    for setting, embed in all_embeds().items():
        try:
            embed._core  # noqa: B018 (builds it)
        except ConfigurationError as error:
            hint = f"Set it in settings.{setting}, in capitals, or in the environment."
            messages += (Error(problem, hint=hint, id="ca_embed.E001") for problem in error.problems)
    return messages


@register()
def apart(**_: Any) -> list[CheckMessage]:
    """Report Embeds that share a part of the storage: the second one would be refused at its first use."""
    messages: list[CheckMessage] = []
    first_with: dict[tuple[object, object], str] = {}
    for setting in all_embeds():
        given = getattr(settings, setting, None)
        if not isinstance(given, dict):  # reported above
            continue
        storage = given.get("STORAGE")
        part = (storage if isinstance(storage, str | None) else id(storage), given.get("NAMESPACE"))
        if (other := first_with.setdefault(part, setting)) != setting:
            message = f"{setting} and {other} share one part of the storage."
            hint = f'Give {setting} a NAMESPACE of its own, as in "NAMESPACE": "brand-b".'
            messages.append(Error(message, hint=hint, id="ca_embed.E002"))
    return messages


@register(Tags.urls)
def mounted_where_it_says(**_: Any) -> list[CheckMessage]:
    """Report URLs that are not included, or not at the path of `public_url`."""
    included = {id(embed): name for name, embed in mounts()}
    messages = (_mounted(setting, embed, included.get(id(embed))) for setting, embed in all_embeds().items())
    return [message for message in messages if message is not None]


def _mounted(setting: str, embed: Any, name: str | None) -> CheckMessage | None:
    try:
        public_path = embed._core.settings.public_path
        mount = reverse(f"{name or DEFAULT_NAME}:page").rstrip("/")
    except ConfigurationError:
        return None
    except NoReverseMatch:
        name = None
    if name is None:
        hint = f"Add {_urls_of(setting)} to your urlpatterns."
        return Caution(f"The URLs of {setting} are not included.", hint=hint, id="ca_embed.W002")
    if public_path.endswith(mount):
        return None
    message = f"PUBLIC_URL of {setting} has the path {public_path!r}, but its URLs are included at {mount!r}."
    hint = "Webhooks go to PUBLIC_URL: give both the same path, unless a proxy changes paths."
    return Caution(message, hint=hint, id="ca_embed.W003")


def _urls_of(setting: str) -> str:
    if setting == _MAIN:
        return 'path("chatarchitect/", include("ca_embed.adapters.django.urls"))'
    return f'path("brand-b/", include((urlpatterns_of(embed_from_setting("{setting}")), "brand_b")))'


@register(Tags.security)
def popups(**_: Any) -> list[CheckMessage]:
    """Report Django's default policy, under which Meta's signup cannot open its window."""
    policy = settings.SECURE_CROSS_ORIGIN_OPENER_POLICY
    if policy != "same-origin" or _SECURITY not in settings.MIDDLEWARE:
        return []
    message = "Under Cross-Origin-Opener-Policy: same-origin, Meta's signup cannot open its window."
    hint = 'Set SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups".'
    return [Caution(message, hint=hint, id="ca_embed.W001")]
