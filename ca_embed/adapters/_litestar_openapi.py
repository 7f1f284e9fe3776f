"""The endpoints in Litestar's OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar.config.app import AppConfig
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import OpenAPI

from ca_embed.embed import Embed
from ca_embed.http import mount_prefix
from ca_embed.http._openapi import components, paths
from ca_embed.http._routes import endpoints


def openapi(embed: Embed, prefix: str | None = None) -> Callable[[AppConfig], AppConfig]:
    """Return an `on_app_init` function that adds all endpoints to the application's OpenAPI document.

    prefix: as for `router`.
    """
    path = mount_prefix(embed, prefix)

    def add(app_config: AppConfig) -> AppConfig:
        match app_config.openapi_config:
            case None:
                pass
            case _Config() as ours:  # of another prefix
                app_config.openapi_config = _Config(ours.hosts, (*ours.prefixes, path))
            case hosts:
                app_config.openapi_config = _Config(hosts, (path,))
        return app_config

    return add


class _Config(OpenAPIConfig):
    """The host's OpenAPIConfig, whose document also has the endpoints below each prefix."""

    def __init__(self, hosts: OpenAPIConfig, prefixes: tuple[str, ...]) -> None:
        vars(self).update(vars(hosts))
        self.hosts, self.prefixes = hosts, prefixes

    def to_openapi_schema(self) -> OpenAPI:
        return _Document(self.hosts.to_openapi_schema(), self.prefixes)


class _Document(OpenAPI):
    """The host's document. The endpoints are added at the end: Litestar replaces `paths` meanwhile."""

    def __init__(self, hosts: OpenAPI, prefixes: tuple[str, ...]) -> None:
        vars(self).update(vars(hosts))
        self._prefixes = prefixes

    def to_schema(self) -> dict[str, Any]:
        document = super().to_schema()
        all_paths = document.setdefault("paths", {})
        for prefix in self._prefixes:
            all_paths.update(paths(endpoints(), prefix=prefix, suffix=prefix.replace("/", "_")))
        for kind, named in components().items():
            document.setdefault("components", {}).setdefault(kind, {}).update(named)
        return document
