"""The URLs to include: `path("chatarchitect/", include("ca_embed.adapters.django.urls"))`."""

from __future__ import annotations

from typing import Any

from ca_embed.adapters.django import embed
from ca_embed.adapters.django._views import patterns

app_name = "chatarchitect"
urlpatterns: list[Any] = patterns(embed)
