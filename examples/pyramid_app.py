"""A Pyramid application with ca_embed inside. Run it with `python examples/pyramid_app.py`."""

# mypy: disable-error-code="import-untyped,untyped-decorator"

from __future__ import annotations

from local import PORT, home_page, login_page, settings
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory
from werkzeug.serving import run_simple

from ca_embed import Credentials, Embed, Registration
from ca_embed.adapters.pyramid import csrf_token, endpoints

embed = Embed.from_env(identify=lambda request: request.session.get("user"), **settings())


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


def home(request: Request) -> Response:
    """Show the button to a signed-in user, and the login form to others."""
    user, csrf = request.session.get("user"), csrf_token(request)
    if user is None:
        return Response(login_page(f'<input type="hidden" name="csrf_token" value="{csrf and csrf.token}">'))
    return Response(home_page(user, embed.snippet(csrf=csrf), embed.registrations(user)))


def login(request: Request) -> Response:
    """Sign in under any name, without a password."""
    request.session["user"] = request.POST["name"]
    return HTTPSeeOther("/")


with Configurator() as config:
    config.set_session_factory(SignedCookieSessionFactory("fake-secret-of-an-example"))
    config.set_default_csrf_options(require_csrf=True)
    config.add_route("home", "/")
    config.add_view(home, route_name="home")
    config.add_route("login", "/login")
    config.add_view(login, route_name="login", request_method="POST")
    config.include(endpoints(embed), route_prefix="/chatarchitect")
    app = config.make_wsgi_app()

if __name__ == "__main__":
    run_simple("127.0.0.1", PORT, app, threaded=True)
