"""The FastAPI adapter, with `identify` and with a dependency."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel
from starlette.routing import Mount

from ca_embed import Embed
from ca_embed.adapters.fastapi import router
from ca_embed.testing import AdapterContract, Site, serve_asgi, signed_webhook
from tests.adapters.programs import EXAMPLES


class TestFastAPI(AdapterContract):
    program = EXAMPLES / "fastapi_app.py"

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = FastAPI()
        app.include_router(router(site.embed, site.prefix))
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("x-user")


class TestFastAPIDependency(AdapterContract):
    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        core = site.embed._core
        ask, site.embed._core = core.identify, replace(core, identify=None)

        def current_user(request: Request) -> str | None:
            return ask(request)

        async def current_user_later(request: Request) -> str | None:
            return await ask(request)

        dependency = current_user_later if inspect.iscoroutinefunction(ask) else current_user
        app = FastAPI()
        app.include_router(router(site.embed, site.prefix, current_user=dependency))
        with serve_asgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.headers.get("x-user")


def refuse() -> None:
    """Refuse every user, as a dependency of the host may."""
    raise HTTPException(401)


@pytest.fixture
def client(ca_embed_factory: Any) -> TestClient:
    """A host application that refuses every user."""
    app = FastAPI()
    app.include_router(router(ca_embed_factory(), current_user=refuse))
    return TestClient(app)


def test_dependency_that_refuses(client: TestClient, ca_partner_token: str) -> None:
    """Who is refused by the host's dependency is refused by the host's answer; the webhook is not."""
    for path in ("/", "/sessions/r", "/sessions/r/"):
        assert client.get(f"/chatarchitect{path}").json() == {"detail": "Unauthorized"}
    assert client.post("/chatarchitect/sessions").status_code == 401
    headers, body = signed_webhook(ca_partner_token)
    assert client.post("/chatarchitect/webhook", headers=headers, content=body).status_code == 200
    assert client.get("/chatarchitect/health").status_code == 200


def test_dependency_that_returns_an_object(ca_embed_factory: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A dependency that returns the user, not the id, signs no one in. The log says what to return."""

    class User:
        id = 7

    def signed_in() -> User:
        return User()

    app = FastAPI()
    app.include_router(router(ca_embed_factory(), current_user=signed_in))
    assert TestClient(app).get("/chatarchitect/").status_code == 401
    (line,) = [record.getMessage() for record in caplog.records if "page reason" in record.getMessage()]
    assert "reason=identify_failed" in line
    assert "identify (signed_in) returned no user id" in line
    assert "text, an integer or a UUID, not User" in line
    assert "return the user's id" in line


class Error(BaseModel):
    """A model of the host, as many have one."""

    reason: str


def own_document(embed: Embed) -> Any:
    """Return ca_embed's own document."""
    return TestClient(FastAPI(routes=[Mount("/m", embed.asgi)])).get("/m/openapi.json").json()


def test_openapi(ca_embed_factory: Any) -> None:
    """FastAPI's document has ca_embed's operations below the prefix, and keeps what the host has in it."""
    embed = ca_embed_factory()
    app = FastAPI()

    @app.get("/errors")
    def errors() -> Error:
        raise NotImplementedError

    app.include_router(router(embed, "/a/chatarchitect"))
    app.include_router(router(embed, "/b/chatarchitect"))  # a second brand
    merged, own = app.openapi(), own_document(embed)
    OpenAPIV31SpecValidator(merged).validate()
    assert set(merged["paths"]) == {
        "/errors",
        *(f"/{brand}/chatarchitect{path}" for brand in "ab" for path in own["paths"]),
    }
    for path, item in own["paths"].items():
        for method, operation in item.items():
            entry = merged["paths"][f"/a/chatarchitect{path}"][method]
            assert entry["responses"] == operation["responses"]
            for part in ("summary", "parameters", "requestBody"):
                assert entry.get(part) == operation.get(part)
            assert entry.get("security", []) == operation["security"]
    assert merged["components"] == {
        "schemas": {**own["components"]["schemas"], "Error": merged["components"]["schemas"]["Error"]},
        "securitySchemes": own["components"]["securitySchemes"],
    }
    assert "reason" in merged["components"]["schemas"]["Error"]["properties"]


def test_openapi_of_a_dependency(ca_embed_factory: Any) -> None:
    """With a dependency for the user, FastAPI describes what that needs."""
    signed_in = OAuth2PasswordBearer("token", auto_error=False)
    app = FastAPI()
    app.include_router(router(ca_embed_factory(), current_user=signed_in))
    opened = app.openapi()["paths"]["/chatarchitect/sessions"]["post"]
    assert opened["security"] == [{"OAuth2PasswordBearer": []}]
