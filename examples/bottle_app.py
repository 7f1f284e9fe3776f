"""A Bottle application with ca_embed inside. Run it with `python examples/bottle_app.py`."""

# mypy: disable-error-code="import-untyped,untyped-decorator"

from __future__ import annotations

from bottle import Bottle, redirect, request, response
from local import PORT, home_page, login_page, settings
from werkzeug.serving import run_simple

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.bottle import mount

SECRET = "fake-secret-of-an-example"

app = Bottle()
embed = Embed.from_env(identify=lambda request: request.get_cookie("user", secret=SECRET), **settings())
mount(app, embed, "/chatarchitect")


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


@app.get("/")
def home() -> str:
    """Show the button to a signed-in user, and the login form to others."""
    user = request.get_cookie("user", secret=SECRET)
    return home_page(user, embed.snippet(), embed.registrations(user)) if user else login_page()


@app.post("/login")
def login() -> None:
    """Sign in under any name, without a password."""
    response.set_cookie("user", request.forms.name, secret=SECRET, httponly=True, samesite="lax")
    redirect("/")


if __name__ == "__main__":
    run_simple("127.0.0.1", PORT, app, threaded=True)
