"""The template tag: `{% load chatarchitect %}`, then `{% chatarchitect %}` in the place of the button."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import TemplateSyntaxError
from django.urls import reverse

from ca_embed.adapters.django import embed
from ca_embed.adapters.django._mounts import DEFAULT_NAME, embed_at
from ca_embed.adapters.django._views import csrf_token
from ca_embed.assets._html import Html

register: Any = template.Library()


@register.simple_tag(takes_context=True)
def chatarchitect(context: Any, urls: str = DEFAULT_NAME, **options: Any) -> Html:
    """Return the snippet. The options are those of `Embed.snippet`: mode, lang, autostart, nonce.

    urls: the name under which the URLs of another Embed are included, as in `{% chatarchitect "brand_b" %}`.
    """
    request = getattr(context, "request", None) or context.get("request")
    csrf = csrf_token(request) if request else None
    one = embed if urls == DEFAULT_NAME else embed_at(urls)
    if one is None:
        raise TemplateSyntaxError(f"no URLs of ca_embed are included under the name {urls!r}")
    return one.snippet(endpoint=reverse(f"{urls}:page").rstrip("/"), csrf=csrf, **options)
