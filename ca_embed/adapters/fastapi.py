"""FastAPI: a router with OpenAPI entries, and your own dependency for the signed-in user.

    app.include_router(router(embed, current_user=current_user))

`current_user` is any dependency of yours that returns the user's id, or None. Without one, `identify` gets
the `fastapi.Request`. It is resolved for the page and for sessions, never for the webhook. In a template,
`embed.snippet()` returns the button.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ca_embed._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import METHODS, mount_prefix
from ca_embed.http._openapi import Caller
from ca_embed.http._routes import endpoints

with extra("fastapi", user=__name__):
    from fastapi import APIRouter, Depends, Request, Response

    from ca_embed.adapters._fastapi_openapi import entry
    from ca_embed.adapters.starlette import _respond

__all__ = ["router"]

_NAMES = {"/": "chatarchitect"}  # for `url_for`


def router(
    embed: Embed, prefix: str | None = None, *, current_user: Callable[..., Any] | None = None
) -> APIRouter:
    """Return a router for all endpoints, below the prefix (by default the path of `public_url`)."""
    user_dependency = Depends(current_user or _no_dependency)

    def for_users(rest: str) -> Callable[..., Awaitable[Response]]:
        async def endpoint(request: Request, user: Any = user_dependency) -> Response:
            identify = None if current_user is None else _returning(user, current_user)
            return await _respond(embed, request, rest.format(**request.path_params), identify)

        return endpoint

    def for_all(rest: str) -> Callable[..., Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await _respond(embed, request, rest.format(**request.path_params))

        return endpoint

    path = mount_prefix(embed, prefix)
    routes = APIRouter(tags=["ChatArchitect"])
    hidden: dict[str, Any] = {"include_in_schema": False}
    for one in endpoints():
        of_user = one.operation.caller is Caller.USER
        answering = (for_users if of_user else for_all)(one.path[1:])
        described = entry(one.operation, dependency=current_user is not None)
        routes.add_api_route(path + one.path, answering, methods=[one.method], **described)
        for form in _other_forms(path, one.path) if of_user else ():
            methods = ["GET", "HEAD"] if one.method == "GET" else [one.method]
            routes.add_api_route(form, answering, methods=methods, name=_NAMES.get(one.path), **hidden)
    routes.add_api_route(f"{path}/{{rest:path}}", for_all("{rest}"), methods=list(METHODS), **hidden)
    return routes


def _other_forms(mount: str, path: str) -> list[str]:
    """Return a path without and with a slash at its end. FastAPI refuses a route whose path is empty."""
    bare = mount + path.rstrip("/")
    return [form for form in (bare, bare + "/") if form]


def _returning(user: Any, dependency: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return an `identify` that returns what the dependency did, under its name for the log."""

    def identify(_request: Request) -> Any:
        return user

    identify.__name__ = getattr(dependency, "__name__", "current_user")
    return identify


async def _no_dependency() -> None:
    """Do nothing in the place of `current_user`: without one, `identify` finds the user."""
