"""The URLs to include: `path("chatarchitect/", include("ca_embed.adapters.django.urls"))`."""

from __future__ import annotations

from ca_embed.adapters.django import embed
from ca_embed.adapters.django._views import patterns

app_name = "chatarchitect"
urlpatterns = patterns(embed)
