"""A host application in Flask that serves the examples for pages."""

from __future__ import annotations

from collections.abc import Mapping
from mimetypes import guess_type
from pathlib import Path

from flask import Flask, Response, redirect, render_template, request

from ca_embed import Embed
from ca_embed.adapters.flask import blueprint

EXAMPLES = Path(__file__).parents[3] / "examples" / "page"
NONCE = "a-nonce-of-the-test"


def flask_host(embed: Embed, scripts: Mapping[str, Path]) -> Flask:
    """Return the application. It serves the `scripts` and the examples under /static."""
    app = Flask(__name__, template_folder=str(Path(__file__).parent), static_folder=None)
    app.jinja_loader.searchpath.append(str(EXAMPLES))
    app.register_blueprint(blueprint(embed))
    add_examples(app, embed._core.settings.iframe_origin, scripts)
    add_what_they_lead_to(app, embed)
    return app


def add_examples(app: Flask, origin: str, scripts: Mapping[str, Path]) -> None:
    """Add a page for each example, with the real origin of the iframe."""
    policy = f"default-src 'none'; connect-src 'self'; style-src 'self'; frame-src {origin}; script-src"

    def example(name: str) -> str:
        return (EXAMPLES / name).read_text("utf-8").replace("https://registration.example", origin)

    @app.get("/plain")
    def plain() -> tuple[str, dict[str, str]]:
        return example("plain.html"), {"Content-Security-Policy": f"{policy} 'self'"}

    @app.get("/jinja")
    def jinja() -> tuple[str, dict[str, str]]:
        page = render_template("jinja.html", csp_nonce=NONCE)
        return page, {"Content-Security-Policy": f"{policy} 'nonce-{NONCE}'"}

    @app.get("/htmx/<release>")
    def htmx(release: str) -> str:
        return titled(example("htmx.html").replace("htmx.min", release))

    @app.get("/component/<framework>")
    def component(framework: str) -> str:
        script = f'<script src="/static/{framework}_app.js" defer></script>'
        return titled(f'{script}<div id="app" data-origin="{origin}"></div>')

    @app.get("/static/<name>")
    def static(name: str) -> Response:
        text = scripts[name].read_text("utf-8") if name in scripts else example(name)
        return Response(text, mimetype=guess_type(name)[0])


def add_what_they_lead_to(app: Flask, embed: Embed) -> None:
    """Add the host's pages that the examples link to."""

    @app.get("/channels")
    def channels() -> str:
        mine = embed.registrations(request.cookies["user"], status="completed")
        return f'<section id="channels">{" ".join(each.registration_id for each in mine)}</section>'

    @app.get("/channels/<registration_id>")
    def channel(registration_id: str) -> str:
        return titled(registration_id)

    @app.get("/login")
    def login() -> Response:
        answer = redirect("/channels")
        answer.set_cookie("user", "ada")
        return answer

    @app.get("/favicon.ico")
    def icon() -> tuple[str, int]:
        return "", 204


def titled(body: str) -> str:
    """Return a page with this body."""
    return f'<!doctype html><html lang="en"><title>Host</title><main>{body}</main></html>'
