"""`{% load chatarchitect %}`, then `{% chatarchitect %}` where the button shall be."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse

from ca_embed.adapters.django import embed
from ca_embed.adapters.django.views import csrf_token
from ca_embed.assets._html import Html

register: Any = template.Library()


@register.simple_tag(takes_context=True)
def chatarchitect(context: Any, **options: Any) -> Html:
    """Return the snippet; options are those of `Embed.snippet`: mode, lang, autostart, nonce."""
    request = getattr(context, "request", None) or context.get("request")
    csrf = csrf_token(request) if request else None
    return embed.snippet(endpoint=reverse("chatarchitect:page").rstrip("/"), csrf=csrf, **options)
