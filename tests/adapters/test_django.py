"""The Django app under WSGI and ASGI, with its CSRF protection, required logins and atomic requests."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.urls import clear_url_caches, include, path

from ca_embed.testing import AdapterContract, Site, serve_asgi, serve_wsgi

HOST = "ca_embed_django_host"
urls = sys.modules[HOST] = ModuleType(HOST)
urls.urlpatterns = []


def sign_in(get_response: Any) -> Any:
    """Set `request.user`, as Django's own middleware would."""

    def middleware(request: Any) -> Any:
        name = request.headers.get("X-User")
        request.user = SimpleNamespace(pk=name, is_authenticated=name is not None)
        return get_response(request)

    return middleware


urls.sign_in = sign_in
settings.configure(
    ALLOWED_HOSTS=["*"],
    CA_EMBED={
        "BASE_URL": "http://127.0.0.1:1",
        "PARTNER_TOKEN": "fake-partner-token",
        "PUBLIC_URL": "http://localhost/chatarchitect",
        "ENCRYPTION_KEYS": "fake-encryption-key",
        "STORAGE": "memory:",
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(tempfile.mkdtemp()) / "host.db",
            "ATOMIC_REQUESTS": True,
        }
    },
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "ca_embed.adapters.django"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{HOST}.sign_in",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=HOST,
    SECRET_KEY="fake-secret-of-the-host",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    USE_TZ=True,
)
django.setup()

from ca_embed.adapters.django.views import patterns  # noqa: E402 (after the settings)


@contextmanager
def included(site: Site) -> Iterator[None]:
    """Include the URLs in the host's, among others."""
    pattern = path(f"{site.prefix[1:]}/", include((patterns(site.embed), "chatarchitect"), site.prefix))
    urls.urlpatterns.append(pattern)
    clear_url_caches()
    yield
    urls.urlpatterns.remove(pattern)
    clear_url_caches()


class DjangoContract(AdapterContract):
    csrf = True

    def user_of(self, request: Any) -> str | None:
        return request.user.pk

    def in_handler(self) -> None:
        assert not connection.in_atomic_block


class TestDjangoWSGI(DjangoContract):
    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        with included(site), serve_wsgi(get_wsgi_application(), site.listener, site.below):
            yield


class TestDjangoASGI(DjangoContract):
    buffers_bodies = True

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        with included(site), serve_asgi(get_asgi_application(), site.listener, site.below):
            yield
