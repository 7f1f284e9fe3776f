"""Flask: a blueprint, a Jinja global and a CLI group.

    app.register_blueprint(blueprint(embed), url_prefix="/chatarchitect")

`identify` gets `flask.request`, inside the request: `session`, `g` and `current_user` work, there and in
handlers. A page shows the button with `{{ chatarchitect() }}`. Let cron run `flask chatarchitect reconcile`.
The adapter exempts only `/webhook`, and `/staff`, which has its own, from Flask-WTF's CSRF protection.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from ca_embed._extras import extra
from ca_embed.assets._html import Html
from ca_embed.embed import Embed
from ca_embed.http import METHODS, Csrf, Request, mount_prefix, read_stream
from ca_embed.wsgi import answer_environ

with extra("flask", user=__name__):
    from flask import Blueprint, Response, current_app, has_app_context, request, url_for
    from flask.blueprints import BlueprintSetupState
    from flask.sansio.app import App

    from ca_embed.adapters._flask_cli import reconcile_command

__all__ = ["blueprint"]


def blueprint(embed: Embed, name: str = "chatarchitect") -> Blueprint:
    """Return all endpoints as a blueprint. Without a `url_prefix` they are at the path of `public_url`."""
    adapter = Blueprint(name, __name__, url_prefix=mount_prefix(embed, None) or None)
    route: dict[str, Any] = {"methods": METHODS, "strict_slashes": False, "merge_slashes": False}

    def endpoints(rest: str = "") -> Response:
        response = answer_environ(embed, request.environ, rest=rest, native=request, read=_body, csrf=_csrf)
        # The body is a list: then Flask does not change the Content-Length, which HEAD needs.
        return _UntypedResponse([response.body], response.status, response.headers)

    def without_token(rest: str) -> Response:
        return endpoints(rest)

    def exempt(app: App) -> None:
        if csrf := app.extensions.get("csrf"):
            csrf.exempt(without_token)

    def set_up(state: BlueprintSetupState) -> None:
        exempt(state.app)
        embed._core.handlers.context = partial(_app_context, state.app)
        mount = f"{state.name_prefix}.{state.name}.endpoints".lstrip(".")

        def snippet(**options: Any) -> Html:
            return embed.snippet(endpoint=url_for(mount).rstrip("/"), csrf=_csrf(), **options)

        state.app.jinja_env.globals[name] = snippet

    adapter.record(set_up)
    adapter.before_app_request(lambda: exempt(current_app))  # for protection that was added later
    exempted = "/<any(webhook, staff):rest>"
    for path, view in (("/", endpoints), (exempted, without_token), ("/<path:rest>", endpoints)):
        adapter.add_url_rule(path, view_func=view, provide_automatic_options=False, **route)
    adapter.cli.add_command(reconcile_command(embed))
    return adapter


def _app_context(app: Any) -> AbstractContextManager[Any]:
    """Return the application context for a handler. Within a request there is one already."""
    return nullcontext() if has_app_context() else app.app_context()


class _UntypedResponse(Response):
    """A response with no headers but ours: Flask would set a Content-Type even without a body."""

    default_mimetype = None


def _body(asked: Request) -> bytes:
    """Return the body. If a `before_request` function has read it already, Flask has kept it."""
    return read_stream(request.stream, asked, kept=request.get_data)


def _csrf() -> Csrf | None:
    """Return the header and token that Flask-WTF's CSRF protection requires, if it is on."""
    if "csrf" not in current_app.extensions:
        return None
    token: Any = current_app.jinja_env.globals["csrf_token"]
    return Csrf(current_app.config.get("WTF_CSRF_HEADERS", ["X-CSRFToken"])[0], token())
