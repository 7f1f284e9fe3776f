"""FastAPI: a router with OpenAPI entries, and your own dependency for the signed-in user.

    app.include_router(router(embed, current_user=current_user))

`current_user` is any dependency of yours that returns the user's id, or None. Without one, `identify` gets
the `fastapi.Request`. It is resolved for the page and for sessions, never for the webhook. In a template,
`embed.snippet()` returns the button.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ca_embed.adapters._extras import extra
from ca_embed.embed import Embed
from ca_embed.http import METHODS, mount_prefix

with extra("fastapi"):
    from fastapi import APIRouter, Depends, Request, Response

    from ca_embed.adapters._openapi import DELIVER, LIST, OPEN, READ, STEP
    from ca_embed.adapters.starlette import _respond

__all__ = ["router"]


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

    async def for_all(request: Request) -> Response:
        return await _respond(embed, request, request.path_params["rest"])

    async def webhook(request: Request) -> Response:
        return await _respond(embed, request, "webhook")

    path = mount_prefix(embed, prefix)
    routes = APIRouter(tags=["ChatArchitect"])
    read, page = ["GET", "HEAD"], for_users("")
    opened, session = for_users("sessions"), for_users("sessions/{registration_id}")
    step = for_users("sessions/{registration_id}/step")
    routes.add_api_route(f"{path}/sessions", opened, methods=["POST"], **OPEN)
    routes.add_api_route(f"{path}/sessions", opened, methods=["GET"], **LIST)
    routes.add_api_route(f"{path}/sessions/{{registration_id}}", session, methods=["GET"], **READ)
    routes.add_api_route(f"{path}/sessions/{{registration_id}}/step", step, methods=["POST"], **STEP)
    routes.add_api_route(f"{path}/webhook", webhook, methods=["POST"], **DELIVER)
    hidden: dict[str, Any] = {"include_in_schema": False}
    routes.add_api_route(f"{path}/sessions", opened, methods=["HEAD"], **hidden)
    routes.add_api_route(f"{path}/sessions/", opened, methods=["POST", *read], **hidden)
    routes.add_api_route(f"{path}/sessions/{{registration_id}}/step/", step, methods=["POST"], **hidden)
    for slash in ("", "/"):
        routes.add_api_route(f"{path}/sessions/{{registration_id}}{slash}", session, methods=read, **hidden)
        if path or slash:
            routes.add_api_route(path + slash, page, methods=read, name="chatarchitect", **hidden)
    routes.add_api_route(f"{path}/{{rest:path}}", for_all, methods=list(METHODS), **hidden)
    return routes


def _returning(user: Any, dependency: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return an `identify` that returns what the dependency did, under its name for the log."""

    def identify(_request: Request) -> Any:
        return user

    identify.__name__ = getattr(dependency, "__name__", "current_user")
    return identify


async def _no_dependency() -> None:
    """Do nothing in the place of `current_user`: without one, `identify` finds the user."""
