"""A Django project on disk, and the commands that its team types: manage.py and ca-embed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ca_embed._cli import _parser
from ca_embed.embed import Embed
from ca_embed.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
SETTINGS = """
import os
CA_EMBED = {"PARTNER_TOKEN": os.environ.get("TOKEN"), **eval(os.environ.get("MORE", "{}"))}
INSTALLED_APPS = [
    "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.staticfiles",
    "ca_embed.adapters.django", "fake_crm",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["PROJECT"] + "/host.db"}}
ROOT_URLCONF = "fake_crm.urls"
SECRET_KEY = "fake-secret-of-the-host"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin-allow-popups"
STATIC_URL, STATIC_ROOT = "static/", os.environ["PROJECT"] + "/static"
USE_TZ = True
"""
FILES = {
    "fake_crm/__init__.py": "",
    "fake_crm/settings.py": SETTINGS,
    "fake_crm/urls.py": "from django.urls import include, path\n"
    'urlpatterns = [path("chatarchitect/", include("ca_embed.adapters.django.urls"))]\n',
    "fake_crm/wsgi.py": "import os\nfrom django.core.wsgi import get_wsgi_application\n"
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fake_crm.settings")\n'
    "application = get_wsgi_application()\n",
    "fake_crm/chatarchitect.py": "from django.contrib.auth import get_user_model\n"
    "from ca_embed.adapters.django import embed\n"
    "@embed.on_completed\n"
    "def connect(registration, credentials):\n"
    "    get_user_model().objects.create(username=credentials.phone)\n",
    "manage.py": "import os, sys\nfrom django.core.management import execute_from_command_line\n"
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fake_crm.settings")\n'
    "execute_from_command_line(sys.argv)\n",
}

Project = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Write a project, and return what runs a command in it."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(*command: str, **variables: str) -> Any:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CA_EMBED_")}
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env={**inherited, "PYTHONPATH": str(ROOT), "PROJECT": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A ChatArchitect for the project."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def configured(project: Project, sandbox: Sandbox, tmp_path: Path) -> Project:
    """A project with all settings and a registration whose webhook was lost."""
    storage = f"sqlite:///{tmp_path}/registrations.db"
    given: dict[str, Any] = {
        "base_url": sandbox.base_url,
        "public_url": "http://127.0.0.1:9/chatarchitect",
        "encryption_keys": "fake-encryption-key",
        "storage": storage,
    }
    with closing(
        Embed(**given, partner_token=sandbox.partner_token, clock=lambda: time.time() - 10)
    ) as embed:
        sandbox.complete(embed.create_session("7").registration_id, deliver=False)
    more = repr({name.upper(): value for name, value in given.items()})
    assert project("manage.py", "migrate", TOKEN=sandbox.partner_token, MORE=more).returncode == 0
    return lambda *command, **variables: project(
        *command, **{"TOKEN": sandbox.partner_token, "MORE": more, **variables}
    )


@pytest.mark.parametrize(
    ("command", "variables"),
    [
        (("manage.py", "chatarchitect"), {}),
        (("manage.py", "chatarchitect", "--settings", "fake_crm.settings"), {}),
        (
            ("-m", "ca_embed", "--app", "ca_embed.adapters.django:embed"),
            {"DJANGO_SETTINGS_MODULE": "fake_crm.settings"},
        ),
        (("-m", "ca_embed", "--app", "fake_crm.wsgi:application"), {}),
    ],
)
def test_reconcile(configured: Project, command: tuple[str, ...], variables: dict[str, str]) -> None:
    """Each way to run `reconcile` runs the handlers of the project, which use its database."""
    program, *options = command[:2] if "-m" in command else command
    rest = command[2:] if "-m" in command else ()
    ran = configured(program, *options, "reconcile", "--json", *rest, **variables)

    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert (report["completed"], report["handlers_done"], report["handlers_failed"]) == (1, 1, 0)


def test_without_settings(project: Project) -> None:
    """Without DJANGO_SETTINGS_MODULE the command says to set it."""
    ran = project("-m", "ca_embed", "list", "--app", "ca_embed.adapters.django:embed")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "set DJANGO_SETTINGS_MODULE" in ran.stderr


def test_all_commands(project: Project) -> None:
    """`manage.py chatarchitect` has all commands of `ca-embed`."""
    ran = project("manage.py", "chatarchitect", "--help")

    assert ran.returncode == 0, ran.stderr
    assert (
        ran.stdout.replace("manage.py chatarchitect", "ca-embed").split() == _parser().format_help().split()
    )


def test_exit_codes(project: Project) -> None:
    """`manage.py chatarchitect` has the exit codes of `ca-embed`: 2 for wrong usage and wrong settings."""
    assert project("manage.py", "chatarchitect", "no-such-command").returncode == 2
    wrong = project("manage.py", "chatarchitect", "list")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "partner_token is missing" in wrong.stderr


def test_without_a_token(project: Project) -> None:
    """A build without token and key collects static files; `check` reports both as errors."""
    collected = project("manage.py", "collectstatic", "--noinput")
    assert collected.returncode == 0, collected.stderr
    checked = project("manage.py", "check")
    assert checked.returncode == 1
    assert "ca_embed.E001" in checked.stderr
    assert "partner_token is missing" in checked.stderr
    assert "Traceback" not in checked.stderr
