"""A Flask application with ca_embed inside. Run it with `python examples/flask_app.py`."""

from __future__ import annotations

from flask import Flask, current_app, redirect, render_template_string, request, session
from local import PORT, home_page, login_page, settings
from werkzeug.wrappers import Response

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.flask import blueprint

app = Flask(__name__)
app.secret_key = "fake-secret-of-an-example"

embed = Embed.from_env(identify=lambda _request: session.get("user"), **settings())
app.register_blueprint(blueprint(embed), url_prefix="/chatarchitect")


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    current_app.logger.warning("%s has connected %s", registration.user_id, credentials.phone)


@app.get("/")
def home() -> str:
    """Show the button to a signed-in user, and the login form to others."""
    if "user" not in session:
        return login_page()
    snippet = render_template_string("{{ chatarchitect() }}")
    return home_page(session["user"], snippet, embed.registrations(session["user"]))


@app.post("/login")
def login() -> Response:
    """Sign in under any name, without a password."""
    session["user"] = request.form["name"]
    return redirect("/")


if __name__ == "__main__":
    app.run(port=PORT)
