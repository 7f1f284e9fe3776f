"""A plain WSGI application with ca_embed inside. Run it with `python examples/wsgi_app.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from local import PORT, home_page, login_cookie, login_page, name_in, settings, user_of
from werkzeug.serving import run_simple

from ca_embed import Credentials, Embed, Registration
from ca_embed.wsgi import Middleware

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


embed = Embed.from_env(identify=lambda environ: user_of(environ.get("HTTP_COOKIE", "")), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


def site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Show the button to a signed-in user, and the login form to others. Any name may sign in."""
    if environ["REQUEST_METHOD"] == "POST":
        form = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("303 See Other", [("Location", "/"), ("Set-Cookie", login_cookie(name_in(form)))])
        return []
    user = user_of(environ.get("HTTP_COOKIE", ""))
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    page = home_page(user, embed.snippet(), embed.registrations(user)) if user else login_page()
    return [page.encode()]


app = Middleware(site, embed, "/chatarchitect")

if __name__ == "__main__":
    run_simple("127.0.0.1", PORT, app, threaded=True)
