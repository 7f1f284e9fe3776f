"""A host application in Django that serves examples/page/django.html until its standard input ends."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import include, path

from ca_embed.testing import serve_wsgi

HERE = Path(__file__).parent
listener = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}"

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    CA_EMBED={
        "BASE_URL": os.environ["SANDBOX_URL"],
        "PARTNER_TOKEN": os.environ["SANDBOX_TOKEN"],
        "PUBLIC_URL": f"{url}/chatarchitect",
        "ENCRYPTION_KEYS": "fake-encryption-key-of-a-test",
        "STORAGE": "memory:",
        "IDENTIFY": lambda request: "ada",
    },
    INSTALLED_APPS=["ca_embed.adapters.django"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="fake-secret-of-a-test",
    SECURE_CROSS_ORIGIN_OPENER_POLICY="same-origin-allow-popups",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "DIRS": [HERE, HERE.parents[2] / "examples" / "page"],
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
)
django.setup()

urlpatterns = [
    path("", lambda request: render(request, "django.html")),
    path("favicon.ico", lambda request: HttpResponse(status=204)),
    path("chatarchitect/", include("ca_embed.adapters.django.urls")),
]

if __name__ == "__main__":
    with serve_wsgi(get_wsgi_application(), listener):
        print(url, flush=True)  # noqa: T201 (to the test that started it)
        sys.stdin.read()
