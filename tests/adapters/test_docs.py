"""The programs of the documentation, run as they stand there; and the table above them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastapi
import flask
import litestar
import pytest
from fastapi.responses import RedirectResponse
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from ca_embed import adapters
from ca_embed.adapters import fastapi as fastapi_adapter
from ca_embed.adapters import flask as flask_adapter
from tests.markdown import python_blocks

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")
FOLDER = Path(adapters.__file__).parent
SECTIONS = dict(section.split("\n", 1) for section in re.split(r"^## ", DOCS, flags=re.MULTILINE)[1:])

program: dict[str, Any] = {"__name__": __name__}
for block in python_blocks(SECTIONS["Write your own"]):
    exec(block, program)

TestHouse, TestAsyncHouse = program["TestHouse"], program["TestAsyncHouse"]

# The rest of a Django host: what stands in place of the dots, and what every project has.
SETTINGS = """
import os
{shown}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", *INSTALLED_APPS[1:]
]
ALLOWED_HOSTS = ["crm.example"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "host.db"}}}}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "host_urls"
SECRET_KEY = "fake-secret-of-the-host"
"""
URLS = """
from django.urls import include, path
{shown}
urlpatterns = urlpatterns[1:]
"""
HOST_VARIABLES = {
    "DJANGO_SETTINGS_MODULE": "host_settings",
    "PARTNER_TOKEN": "a-fake-partner-token",
    "ENCRYPTION_KEY": "a-fake-encryption-key",
    "PYTHONPATH": str(ROOT),
}
# What pytest-django does, in a few lines.
LIKE_PYTEST_DJANGO = """
import django, pytest
django.setup()

from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import get_runner, setup_test_environment
from django.conf import settings

setup_test_environment()

@pytest.fixture
def db():
    runner = get_runner(settings)(interactive=False, verbosity=0)
    databases = runner.setup_databases()
    yield
    runner.teardown_databases(databases)

@pytest.fixture
def client():
    return Client()

@pytest.fixture
def django_user_model():
    return get_user_model()
"""
VISIT = """
import django
django.setup()

from django.core.management import call_command
from django.test import Client

call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
print(Client(headers={"host": "crm.example"}).get("/chatarchitect/health").text)
"""


def test_django(tmp_path: Path) -> None:
    """The settings that are shown leave Django nothing to object to, and the endpoints answer."""
    shown, _, _ = python_blocks(SECTIONS["Django"])
    settings, urls = shown.split("\n\n")
    (tmp_path / "host_settings.py").write_text(SETTINGS.format(shown=settings))
    (tmp_path / "host_urls.py").write_text(URLS.format(shown=urls))
    visited = subprocess.run(
        [sys.executable, "-W", "error", "-c", VISIT],
        cwd=tmp_path,
        env=os.environ | HOST_VARIABLES,
        check=False,
        capture_output=True,
        text=True,
    )
    assert visited.returncode == 0, visited.stderr
    assert visited.stdout.splitlines()[-1] == '{"status": "ok"}'


def test_django_fixtures(tmp_path: Path) -> None:
    """The test that is shown passes in a project with the settings that are shown, under pytest-django."""
    shown, _, recipe = python_blocks(SECTIONS["Django"])
    settings, urls = shown.split("\n\n")
    (tmp_path / "host_settings.py").write_text(SETTINGS.format(shown=settings))
    (tmp_path / "host_urls.py").write_text(URLS.format(shown=urls))
    (tmp_path / "conftest.py").write_text(LIKE_PYTEST_DJANGO)
    (tmp_path / "test_recipe.py").write_text(recipe)
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | HOST_VARIABLES,
        check=False,
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout


@pytest.fixture
def walls() -> list[str]:
    """The programs of the section on login walls."""
    return python_blocks(SECTIONS["A login wall"])


def test_wall_in_flask(walls: list[str], ca_embed_factory: Any) -> None:
    """Flask's wall sends a visitor of the host to the login, and lets the mount pass."""
    app = flask.Flask("crm")
    app.secret_key = "fake-secret-of-the-host"
    app.register_blueprint(flask_adapter.blueprint(ca_embed_factory()))
    exec(walls[0], {**vars(flask), "app": app})
    client = app.test_client()
    assert client.get("/orders").location == "/login"
    assert client.get("/chatarchitect/health").json == {"status": "ok"}
    assert client.post("/chatarchitect/webhook").json["code"] == "invalid_signature"


def test_wall_in_django(walls: list[str]) -> None:
    """Django's wall sends a visitor of the host to the login, and lets the mount pass."""
    made: dict[str, Any] = {"redirect": lambda url: f"to {url}"}
    exec(walls[1], made)
    wall = made["require_login"](lambda request: "the view")

    def visit(path: str, *, signed_in: bool = False) -> Any:
        return wall(SimpleNamespace(path=path, user=SimpleNamespace(is_authenticated=signed_in)))

    assert visit("/orders") == "to /login"
    assert visit("/chatarchitect/webhook") == visit("/login") == "the view"
    assert visit("/orders", signed_in=True) == "the view"


def test_wall_in_fastapi(walls: list[str], ca_embed_factory: Any) -> None:
    """FastAPI's wall sends a visitor of the host to the login, and lets the mount pass."""
    app = fastapi.FastAPI()
    app.include_router(fastapi_adapter.router(ca_embed_factory()))
    exec(walls[2], {"app": app, "RedirectResponse": RedirectResponse})
    app.add_middleware(SessionMiddleware, secret_key="fake-secret-of-the-host")
    client = TestClient(app, follow_redirects=False)
    assert client.get("/orders").headers["location"] == "/login"
    assert client.get("/chatarchitect/health").json() == {"status": "ok"}
    assert client.post("/chatarchitect/webhook").json()["code"] == "invalid_signature"


def test_every_block_is_run() -> None:
    """All code of the page is in the sections that are run here."""
    sections = ("The OpenAPI document", "A login wall", "Django", "Write your own")
    run = [block for section in sections for block in python_blocks(SECTIONS[section])]
    assert python_blocks(DOCS) == run


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_lines_of_adapters(path: Path) -> None:
    """The table has every adapter, with its lines, and none is longer than a screen or two."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < 90
    assert re.search(rf"^\|[^|]*\|[^|]*\| {lines} \|[^|]*{path.stem}\.", DOCS, re.MULTILINE)


def test_openapi_of_litestar(ca_embed_factory: Any) -> None:
    """The program of the section puts the endpoints into Litestar's document."""
    (block,) = python_blocks(SECTIONS["The OpenAPI document"])
    names: dict[str, Any] = {"Litestar": litestar.Litestar, "embed": ca_embed_factory()}
    exec(block, names)
    assert "/chatarchitect/webhook" in names["app"].openapi_schema.to_schema()["paths"]
