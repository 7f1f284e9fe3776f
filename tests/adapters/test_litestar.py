"""The Litestar adapter, under Litestar's CSRF protection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from litestar import Litestar, get
from litestar.config.csrf import CSRFConfig
from litestar.openapi import OpenAPIConfig
from litestar.testing import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from ca_embed import Embed
from ca_embed.adapters.litestar import openapi, router
from ca_embed.testing import AdapterContract, Site, serve_asgi
from tests.adapters.programs import EXAMPLES


class TestLitestar(AdapterContract):
    program = EXAMPLES / "litestar_app.py"
    csrf = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        config = CSRFConfig(secret="fake-secret-of-the-host")
        app = Litestar([router(site.embed, site.prefix)], csrf_config=config, openapi_config=None)
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("X-User")


@dataclass
class Error:
    """A model of the host, as many have one."""

    reason: str


@get("/errors")
async def errors() -> Error:
    """A handler of the host."""
    raise NotImplementedError


def served(embed: Embed, **settings: Any) -> Any:
    """Return the document that a host application serves, and ca_embed's own."""
    app = Litestar(
        [errors, router(embed, "/a/chatarchitect"), router(embed, "/b/chatarchitect")],
        on_app_init=[openapi(embed, "/a/chatarchitect"), openapi(embed, "/b/chatarchitect")],
        **settings,
    )
    with TestClient(app) as client:
        merged, own = (
            client.get(path).json() for path in ("/schema/openapi.json", "/a/chatarchitect/openapi.json")
        )
    assert app.openapi_schema.to_schema() == merged
    return merged, own


def test_openapi(ca_embed_factory: Any) -> None:
    """Litestar's document has ca_embed's operations below each prefix, and keeps what the host has in it."""
    merged, own = served(ca_embed_factory())
    OpenAPIV31SpecValidator(merged).validate()
    assert set(merged["paths"]) == {
        "/errors",
        *(f"/{brand}/chatarchitect{path}" for brand in "ab" for path in own["paths"]),
    }
    names = [operation["operationId"] for item in merged["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    for path, item in own["paths"].items():
        for method, operation in item.items():
            entry = merged["paths"][f"/a/chatarchitect{path}"][method]
            assert entry | {"operationId": ""} == operation | {"operationId": ""}
    schemas = merged["components"]["schemas"]
    assert schemas == {**own["components"]["schemas"], "Error": schemas["Error"]}
    assert "reason" in schemas["Error"]["properties"]
    assert merged["components"]["securitySchemes"] == own["components"]["securitySchemes"]


def test_openapi_keeps_the_config(ca_embed_factory: Any) -> None:
    """What the host's OpenAPIConfig sets holds, and the config itself is left as it was."""
    config = OpenAPIConfig("My CRM", "1.2.3")
    merged, _ = served(ca_embed_factory(), openapi_config=config)
    assert merged["info"] == {"title": "My CRM", "version": "1.2.3"}
    assert config.to_openapi_schema().to_schema().get("paths", {}) == {}


def test_openapi_turned_off(ca_embed_factory: Any) -> None:
    """An application without a document stays without one."""
    embed = ca_embed_factory()
    app = Litestar([router(embed)], on_app_init=[openapi(embed)], openapi_config=None)
    with TestClient(app) as client:
        assert client.get("/schema/openapi.json").status_code == 404
