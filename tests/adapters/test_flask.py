"""The Flask adapter, under Flask-WTF's CSRF protection."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.validate import validator

import pytest
from flask import Flask, current_app, g, render_template_string, request, session
from flask_wtf import CSRFProtect

from ca_embed.adapters.flask import blueprint
from ca_embed.testing import AdapterContract, Site, serve_wsgi, signed_webhook
from tests.adapters.programs import EXAMPLES


class TestFlask(AdapterContract):
    program = EXAMPLES / "flask_app.py"
    csrf = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = Flask("host")
        app.secret_key = "fake-secret-of-the-host"
        CSRFProtect(app)

        @app.before_request
        def sign_in() -> None:
            g.user = request.headers.get("X-User")

        app.register_blueprint(blueprint(site.embed), url_prefix=site.prefix)
        with serve_wsgi(app, site.listener, site.below):
            yield

    def user_of(self, request: Any) -> str | None:
        return g.user

    def in_handler(self) -> None:
        assert current_app.name == "host"


@pytest.fixture
def app(ca_embed_factory: Any) -> Flask:
    """A host application that names its user in the session."""
    app = Flask("host")
    app.secret_key = "fake-secret-of-the-host"
    app.testing = True
    embed = ca_embed_factory(identify=lambda request: session.get("user"))
    app.register_blueprint(blueprint(embed))
    app.add_url_rule("/page", "page", lambda: render_template_string("{{ chatarchitect(mode='modal') }}"))
    app.add_url_rule("/login", "login", lambda: session.update(user="alice") or "")
    return app


def test_session_of_flask(app: Flask) -> None:
    """`identify` reads Flask's own session."""
    client = app.test_client()
    assert client.get("/chatarchitect/").status_code == 401
    client.get("/login")
    assert client.get("/chatarchitect/").status_code == 200


def test_template_global(app: Flask) -> None:
    """A template shows the element with the mount's own URL, below the application's."""
    page = app.test_client().get("/page", base_url="http://localhost/crm/").text
    assert '<ca-whatsapp-registration endpoint="/crm/chatarchitect"' in page
    assert 'mode="modal"' in page


def test_template_global_with_csrf(app: Flask) -> None:
    """Under CSRF protection the element gets a token that Flask-WTF accepts."""
    CSRFProtect(app)
    client = app.test_client()
    client.get("/login")
    page = client.get("/page").text
    header, token = re.search('csrf-header="(.*?)" csrf-token="(.*?)"', page).groups()
    assert client.post("/chatarchitect/sessions").status_code == 400
    assert client.post("/chatarchitect/sessions", headers={header: token}).status_code == 201


def test_csrf_protection_set_up_late(app: Flask) -> None:
    """The webhook is exempt also if the protection comes after the blueprint."""
    CSRFProtect(app)
    assert app.test_client().post("/chatarchitect/webhook").status_code == 401


def test_body_read_before(app: Flask, ca_partner_token: str) -> None:
    """A webhook survives a `before_request` function that reads its JSON."""
    app.before_request(lambda: request.get_json(silent=True) and None)
    headers, body = signed_webhook(ca_partner_token)
    assert app.test_client().post("/chatarchitect/webhook", headers=headers, data=body).status_code == 200


def test_reconcile_command(app: Flask) -> None:
    """`flask chatarchitect reconcile` says what it did."""
    result = app.test_cli_runner().invoke(args=["chatarchitect", "reconcile"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["completed"] == 0


def test_preflight_under_the_validator(app: Flask) -> None:
    """The answer to a preflight, which has no body, has no type either: PEP 3333's validator agrees."""
    asked = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    app.wsgi_app = validator(app.wsgi_app)  # type: ignore[method-assign]
    answer = app.test_client().options("/chatarchitect/sessions", headers=asked)
    assert (answer.status_code, answer.headers.get("Content-Type")) == (204, None)
    answer.close()
