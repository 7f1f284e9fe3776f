"""A Django application with ca_embed inside. Run it with `python examples/django_app.py`."""

# mypy: disable-error-code="import-untyped,misc"

from __future__ import annotations

import tempfile
from pathlib import Path

import django
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth import login as sign_in
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.template import RequestContext, Template
from django.urls import include, path
from local import PORT, home_page, login_page, settings
from werkzeug.serving import run_simple

from ca_embed import Credentials, Registration

DATABASE = Path(tempfile.gettempdir()) / "ca_embed_example.db"

django_settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CA_EMBED={name.upper(): value for name, value in settings().items() if name != "storage"},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "ca_embed.adapters.django",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="fake-secret-of-an-example",
    SECURE_CROSS_ORIGIN_OPENER_POLICY="same-origin-allow-popups",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
)
django.setup()

from ca_embed.adapters.django import embed  # noqa: E402 (it reads the settings)


@embed.on_completed
def connect(registration: Registration, credentials: Credentials) -> None:
    """Use the credentials. They are already stored."""
    print(registration.user_id, "has connected", credentials.phone)


def home(request: HttpRequest) -> HttpResponse:
    """Show the button to a signed-in user, and the login form to others."""
    if not request.user.is_authenticated:
        hidden = f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
        return HttpResponse(login_page(hidden))
    tag = Template("{% load chatarchitect %}{% chatarchitect %}")
    mine = embed.registrations(str(request.user.pk))
    return HttpResponse(home_page(request.user.username, tag.render(RequestContext(request)), mine))


def login(request: HttpRequest) -> HttpResponseRedirect:
    """Sign in under any name, without a password."""
    user, _ = get_user_model().objects.get_or_create(username=request.POST["name"])
    sign_in(request, user)
    return redirect("/")


urlpatterns = [
    path("", home),
    path("login", login),
    path("chatarchitect/", include("ca_embed.adapters.django.urls")),
]
app = get_wsgi_application()

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    run_simple("127.0.0.1", PORT, app, threaded=True)
