"""Where the URLs of each Embed are included, by the name of their URL namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.urls import get_resolver, get_urlconf

if TYPE_CHECKING:
    from ca_embed.embed import Embed

DEFAULT_NAME = "chatarchitect"  # of the URLs in ca_embed.adapters.django.urls


def embed_at(name: str) -> Embed | None:
    """Return the Embed whose URLs are included under the name, which may be nested: "crm:brand_b"."""
    resolver: Any = get_resolver(get_urlconf())
    for part in name.split(":"):
        _, resolver = resolver.namespace_dict.get(part, (None, None))
        if resolver is None:
            return None
    return _embed_of(resolver)


def mounts() -> Iterator[tuple[str, Embed]]:
    """Yield the name of each URL namespace that has the URLs of an Embed, and the Embed."""
    yield from _mounts_in(get_resolver(get_urlconf()), "")


def _mounts_in(resolver: Any, above: str) -> Iterator[tuple[str, Embed]]:
    for name, (_, below) in resolver.namespace_dict.items():
        if (embed := _embed_of(below)) is not None:
            yield above + name, embed
        yield from _mounts_in(below, f"{above}{name}:")


def _embed_of(resolver: Any) -> Embed | None:
    views = (getattr(pattern, "callback", None) for pattern in resolver.url_patterns)
    return next((found for view in views if (found := getattr(view, "ca_embed", None)) is not None), None)
