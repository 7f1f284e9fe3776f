"""Quart: a blueprint and a Jinja global.

    app.register_blueprint(blueprint(embed), url_prefix="/chatarchitect")

`identify` gets `quart.request`, inside the request: `session`, `g` and `current_user` work, there and in
handlers. A page shows the button with `{{ chatarchitect() }}`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync

from ca_embed._extras import extra
from ca_embed.assets._html import Html
from ca_embed.embed import Embed
from ca_embed.http import METHODS, answer, mount_prefix

with extra("quart", user=__name__):
    from quart import Blueprint, Response, has_app_context, request, url_for
    from quart.blueprints import BlueprintSetupState
    from quart.globals import _cv_app

__all__ = ["blueprint"]


def blueprint(embed: Embed, name: str = "chatarchitect") -> Blueprint:
    """Return all endpoints as a blueprint. Without a `url_prefix` they are at the path of `public_url`."""
    adapter = Blueprint(name, __name__, url_prefix=mount_prefix(embed, None) or None)
    route: dict[str, Any] = {"methods": METHODS, "strict_slashes": False, "merge_slashes": False}

    async def endpoints(rest: str = "") -> Response:
        response = await answer(
            embed,
            method=request.method,
            rest=rest,
            query=request.query_string,
            headers=request.headers.items(),
            native=request,
            chunks=lambda: request.body,
        )
        return _UntypedResponse([response.body], response.status, dict(response.headers))

    def set_up(state: BlueprintSetupState) -> None:
        embed._core.handlers.context = partial(_app_context, state.app)
        mount = f"{state.name_prefix}.{state.name}.endpoints".lstrip(".")

        def snippet(**options: Any) -> Html:
            return embed.snippet(endpoint=url_for(mount).rstrip("/"), **options)

        state.app.jinja_env.globals[name] = snippet

    adapter.record(set_up)
    adapter.add_url_rule("/", view_func=endpoints, provide_automatic_options=False, **route)
    adapter.add_url_rule("/<path:rest>", view_func=endpoints, provide_automatic_options=False, **route)
    return adapter


@contextmanager
def _app_context(app: Any) -> Iterator[None]:
    """Enter the application context for a handler. Within a request there is one already."""
    if has_app_context():
        yield
        return
    entered = _cv_app.set(app.app_context())  # Quart's own push and pop must be awaited in one task
    try:
        yield
    finally:
        async_to_sync(app.do_teardown_appcontext)(sys.exception())
        _cv_app.reset(entered)


class _UntypedResponse(Response):
    """A response with no headers but ours: Quart would set a Content-Type even without a body."""

    default_mimetype: Any = None  # werkzeug allows None, although Quart's type does not
