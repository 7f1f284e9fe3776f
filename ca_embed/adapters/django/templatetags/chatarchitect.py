"""The template tag: `{% load chatarchitect %}`, then `{% chatarchitect %}` in the place of the button."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse

from ca_embed.adapters.django import embed
from ca_embed.adapters.django._views import csrf_token
from ca_embed.assets._html import Html

register: Any = template.Library()


@register.simple_tag(takes_context=True)
def chatarchitect(context: Any, **options: Any) -> Html:
    """Return the snippet. The options are those of `Embed.snippet`: mode, lang, autostart, nonce."""
    request = getattr(context, "request", None) or context.get("request")
    csrf = csrf_token(request) if request else None
    return embed.snippet(endpoint=reverse("chatarchitect:page").rstrip("/"), csrf=csrf, **options)
