"""The Django app under WSGI and ASGI, with its CSRF protection, required logins and atomic requests."""

from __future__ import annotations

import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import django
import pytest
from django.conf import settings
from django.contrib import admin
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections, transaction
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client, RequestFactory, override_settings
from django.test.utils import setup_test_environment, teardown_test_environment
from django.urls import clear_url_caches, include, path, reverse

from ca_embed._urls import require_base
from ca_embed.errors import ConfigurationError, StorageUnavailable
from ca_embed.storage import SealedRecord
from ca_embed.testing import AdapterContract, Site, StorageContract, serve_asgi, serve_wsgi, signed_webhook
from tests.adapters.programs import EXAMPLES

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
    },
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(tempfile.mkdtemp()) / "host.db",
            "ATOMIC_REQUESTS": True,
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "ca_embed.adapters.django",
    ],
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
    SECURE_CROSS_ORIGIN_OPENER_POLICY="same-origin-allow-popups",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    USE_TZ=True,
)
django.setup()

from ca_embed.adapters.django import (  # noqa: E402 (after the settings)
    _settings,
    embed,
    embed_from_setting,
    urlpatterns_of,
)
from ca_embed.adapters.django._storage import DjangoStorage  # noqa: E402
from ca_embed.adapters.django._views import patterns  # noqa: E402
from ca_embed.adapters.django.admin import RegistrationAdmin  # noqa: E402
from ca_embed.adapters.django.models import Registration  # noqa: E402

BRAND_B = {
    **settings.CA_EMBED,
    "BASE_URL": "https://brand-b.registration.example",
    "PARTNER_TOKEN": "fake-partner-token-b",
    "PUBLIC_URL": "https://crm.example/brand-b",
    "NAMESPACE": "brand-b",
}


@pytest.fixture(scope="module")
def database() -> None:
    """The host's database, with all tables."""
    call_command("migrate", verbosity=0)


@pytest.fixture
def rows(database: None) -> Iterator[Any]:
    """The table, empty at the beginning."""
    Registration.objects.all().delete()
    yield Registration.objects
    connections.close_all()


@pytest.fixture
def included_app() -> Iterator[None]:
    """The URLs of the settings' own Embed, at /chatarchitect/."""
    pattern = path("chatarchitect/", include("ca_embed.adapters.django.urls"))
    urls.urlpatterns.append(pattern)
    clear_url_caches()
    yield
    urls.urlpatterns.remove(pattern)
    clear_url_caches()


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
    writes_zero_length = True  # by CommonMiddleware

    def user_of(self, request: Any) -> str | None:
        return request.user.pk

    def in_handler(self) -> None:
        assert not connection.in_atomic_block


class TestDjangoWSGI(DjangoContract):
    program = EXAMPLES / "django_app.py"

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


class TestDjangoStorage(StorageContract):
    @pytest.fixture
    def open_storage(self, rows: Any) -> Any:
        """Open the table of the host's database."""
        return DjangoStorage

    def test_inside_a_transaction(self, storage: Any) -> None:
        """Nothing is promised that the host's transaction could take back; reading is allowed."""
        with transaction.atomic():
            assert storage.load("r") is None
            with pytest.raises(StorageUnavailable, match="atomic"):
                storage.save(SealedRecord("r", 1, None, None, b"sealed"))

    def test_without_a_table(self, storage: Any) -> None:
        """A missing table is trouble, not an empty storage, and the way out is named."""
        with connection.schema_editor() as editor:
            editor.delete_model(Registration)
        with pytest.raises(StorageUnavailable, match="migrate"):
            storage.load("r")
        with connection.schema_editor() as editor:
            editor.create_model(Registration)


def test_migrations_are_complete(rows: Any) -> None:
    """The models need no migration that is not there."""
    call_command("makemigrations", "ca_embed", check=True, dry_run=True, verbosity=0)


def test_settings(rows: Any, included_app: None) -> None:
    """A webhook reaches the Embed of the settings, and is stored in the host's own database."""
    headers, body = signed_webhook("fake-partner-token", registration_id="django", partner_user_id="7")
    answer = Client(headers=headers).generic("POST", "/chatarchitect/webhook", body, headers["Content-Type"])
    assert answer.status_code == 200, answer.content
    assert rows.get(registration_id="django").version >= 1
    assert embed.credentials("django").app_id == "ca_app_123"


def test_handler_in_a_thread(rows: Any) -> None:
    """Outside a request, a handler runs on a connection that works, and leaves none open in its thread."""
    seen: list[Any] = []

    def run() -> Any:
        with embed._core.handlers.context():
            seen.append(Registration.objects.count())
        return connection.connection

    with ThreadPoolExecutor(1) as threads:
        assert [threads.submit(run).result() for _ in range(2)] == [None, None]
    assert seen == [0, 0]


def test_template_tag(included_app: None) -> None:
    """The tag shows the element with the mount's URL and a token that Django accepts."""
    request = RequestFactory().get("/")
    source = "{% load chatarchitect %}{% chatarchitect mode='modal' nonce='n' %}"
    shown = Template(source).render(Context({"request": request}))
    assert 'endpoint="/chatarchitect"' in shown
    assert 'mode="modal"' in shown
    assert 'nonce="n"' in shown
    header, token = re.search('csrf-header="(.*?)" csrf-token="(.*?)"', shown).groups()
    client = Client(enforce_csrf_checks=True, headers={header: token})
    client.cookies["csrftoken"] = request.META["CSRF_COOKIE"]
    assert client.post("/chatarchitect/sessions").json()["code"] == "not_signed_in"


def test_command(rows: Any, included_app: None) -> None:
    """`manage.py chatarchitect` reconciles and lists as `ca-embed` does, and shows no secret."""
    test_settings(rows, included_app)
    said = io.StringIO()
    for action in ("reconcile", "list"):
        call_command("chatarchitect", action, "--json", stdout=said)
    reconciled, listed = said.getvalue().splitlines()
    assert json.loads(reconciled)["expired"] == 0
    assert json.loads(listed)["registration_id"] == "django"
    assert "fake-app-secret" not in listed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "unknown"), 1, "no registration"),
        (("show", "un known"), 2, "a registration id is"),
        (("no-such-command",), 2, "usage: manage.py chatarchitect"),
        (("list", "--no-such-option"), 2, "usage: manage.py chatarchitect"),
    ],
)
def test_command_that_fails(rows: Any, arguments: tuple[str, ...], code: int, said: str) -> None:
    """What fails raises CommandError with the exit code of `ca-embed`, and stderr says why."""
    errors = io.StringIO()
    with pytest.raises(CommandError) as raised:
        call_command("chatarchitect", *arguments, stderr=errors)
    assert raised.value.returncode == code
    assert said in errors.getvalue()


def test_overridden_settings(rows: Any) -> None:
    """A test that overrides the settings gets an Embed of its own, with the same handlers."""
    ran: list[str] = []
    embed.on_completed(name="overridden")(lambda registration, _: ran.append(registration.registration_id))
    headers, body = signed_webhook("fake-partner-token-of-the-test", registration_id="overridden")
    pattern = path("chatarchitect/", include("ca_embed.adapters.django.urls"))
    urls.urlpatterns.append(pattern)
    clear_url_caches()
    overridden = {**settings.CA_EMBED, "PARTNER_TOKEN": "fake-partner-token-of-the-test"}
    try:
        with override_settings(CA_EMBED=overridden):
            client = Client(headers=headers)
            accepted = client.generic("POST", "/chatarchitect/webhook", body, headers["Content-Type"])
            assert embed._core.settings.tokens == ("fake-partner-token-of-the-test",)
        refused = client.generic("POST", "/chatarchitect/webhook", body, headers["Content-Type"])
    finally:
        urls.urlpatterns.remove(pattern)
        clear_url_caches()
        embed.__dict__["_registrations"].pop()
        embed._forget()
    assert (accepted.status_code, refused.status_code, ran) == (200, 401, ["overridden"])
    assert embed._core.settings.tokens == ("fake-partner-token",)


@pytest.fixture
def brand_b(rows: Any, included_app: None) -> Iterator[Any]:
    """A second Embed from a second setting, with its URLs at /brand-b."""
    second = embed_from_setting("CA_EMBED_BRAND_B")
    pattern = path("brand-b/", include((urlpatterns_of(second), "brand_b")))
    urls.urlpatterns.append(pattern)
    clear_url_caches()
    with override_settings(CA_EMBED_BRAND_B=BRAND_B):
        yield second
    urls.urlpatterns.remove(pattern)
    clear_url_caches()
    _settings._stand_ins.pop("CA_EMBED_BRAND_B")


def _deliver_to_brand_b(mount: str = "brand-b") -> int:
    headers, body = signed_webhook(str(BRAND_B["PARTNER_TOKEN"]), registration_id="of_brand_b")
    client = Client(headers=headers)
    return client.generic("POST", f"/{mount}/webhook", body, headers["Content-Type"]).status_code


def test_two_brands(brand_b: Any) -> None:
    """A second setting makes a second Embed, with its own URLs, token and part of the table."""
    ran: list[str] = []
    brand_b.on_completed(name="second")(lambda registration, _: ran.append(registration.registration_id))
    answers = [_deliver_to_brand_b(mount) for mount in ("chatarchitect", "brand-b")]
    assert (reverse("brand_b:page"), answers, ran) == ("/brand-b/", [401, 200], ["of_brand_b"])
    assert [len(one.registrations()) for one in (embed, brand_b)] == [0, 1]
    assert embed_from_setting("CA_EMBED_BRAND_B") is brand_b
    with (
        override_settings(CA_EMBED_BRAND_B=None),
        pytest.raises(ConfigurationError, match="CA_EMBED_BRAND_B must be a dict"),
    ):
        brand_b.registrations()


def test_template_tag_of_a_second_brand(brand_b: Any) -> None:
    """The tag takes the name of its URLs, and says so if there are none of that name."""
    context = Context({"request": RequestFactory().get("/")})
    shown = Template("{% load chatarchitect %}{% chatarchitect 'brand_b' lang='es' %}").render(context)
    assert 'endpoint="/brand-b"' in shown
    assert 'iframe-origin="https://brand-b.registration.example"' in shown
    for name in ("brand_c", "admin", "brand_b:more"):
        wrong = Template("{% load chatarchitect %}{% chatarchitect '" + name + "' %}")
        with pytest.raises(TemplateSyntaxError, match=f"under the name '{name}'"):
            wrong.render(context)


@pytest.mark.parametrize(
    "option", [("--embed", "CA_EMBED_BRAND_B", "list"), ("list", "--embed=CA_EMBED_BRAND_B")]
)
def test_command_of_a_second_brand(brand_b: Any, option: tuple[str, ...]) -> None:
    """`--embed` names the setting of another Embed."""
    assert _deliver_to_brand_b() == 200
    said = {arguments: io.StringIO() for arguments in (("list",), option)}
    for arguments, stdout in said.items():
        call_command("chatarchitect", *arguments, "--json", stdout=stdout)
    assert ["of_brand_b" in stdout.getvalue() for stdout in said.values()] == [False, True]


def test_command_of_an_unknown_brand(rows: Any) -> None:
    """A setting that does not exist is named."""
    errors = io.StringIO()
    with pytest.raises(CommandError):
        call_command("chatarchitect", "--embed", "CA_EMBED_TYPO", "list", stderr=errors)
    _settings._stand_ins.pop("CA_EMBED_TYPO")
    assert "CA_EMBED_TYPO must be a dict" in errors.getvalue()


def test_admin_of_a_second_brand(brand_b: Any) -> None:
    """The admin shows registrations of each Embed, and no record that is none."""
    assert _deliver_to_brand_b() == 200
    shown = RegistrationAdmin(Registration, admin.site)
    rows_shown = list(shown.get_queryset(RequestFactory().get("/")))
    assert [(row.registration_id, shown.status(row)) for row in rows_shown] == [
        ("brand-b:of_brand_b", "completed")
    ]


@pytest.mark.parametrize(
    ("changed", "complaint", "said"),
    [
        ({}, None, ""),
        ({"PARTNER_TOKEN": "short"}, "ca_embed.E001", "settings.CA_EMBED_BRAND_B"),
        ({"NAMESPACE": None}, "ca_embed.E002", "CA_EMBED_BRAND_B and CA_EMBED share"),
        ({"PUBLIC_URL": "https://crm.example/other"}, "ca_embed.W003", "included at '/brand-b'"),
    ],
)
def test_complaints_about_a_second_brand(
    brand_b: Any, changed: dict[str, Any], complaint: str | None, said: str
) -> None:
    """The system checks find what is wrong with the second Embed, and nothing else."""
    with override_settings(CA_EMBED_BRAND_B={**BRAND_B, **changed}):
        messages = [message for message in run_checks() if message.id.startswith("ca_embed.")]
    assert [message.id for message in messages] == ([] if complaint is None else [complaint])
    assert all(said in f"{message.msg} {message.hint}" for message in messages)


def test_urls_of_a_second_brand_not_included(included_app: None) -> None:
    """A system check finds that the URLs of the second Embed are nowhere, and says how to include them."""
    embed_from_setting("CA_EMBED_BRAND_B")
    try:
        with override_settings(CA_EMBED_BRAND_B=BRAND_B):
            (message,) = [message for message in run_checks() if message.id.startswith("ca_embed.")]
    finally:
        _settings._stand_ins.pop("CA_EMBED_BRAND_B")
    assert message.id == "ca_embed.W002"
    assert 'urlpatterns_of(embed_from_setting("CA_EMBED_BRAND_B"))' in message.hint


def test_host_of_the_test_client() -> None:
    """Under a test runner, http://testserver can be a `public_url`. Elsewhere it is refused."""
    with override_settings(CA_EMBED={**settings.CA_EMBED, "PUBLIC_URL": "http://testserver/chatarchitect"}):
        with pytest.raises(ConfigurationError, match="public_url"):
            embed.snippet()
        setup_test_environment()
        try:
            assert embed._core.settings.webhook_url == "http://testserver/chatarchitect/webhook"
        finally:
            teardown_test_environment()
    with pytest.raises(ValueError, match="https"):
        require_base("http://testserver/chatarchitect")


def test_handlers_are_checked_with_the_settings() -> None:
    """A handler of the wrong form is reported by the system checks, and does not break its import."""
    try:
        with override_settings(CA_EMBED=dict(settings.CA_EMBED)):
            embed.on_completed(lambda: None)
            assert [one.id for one in run_checks() if "must take" in one.msg] == ["ca_embed.E001"]
    finally:
        embed.__dict__["_registrations"].pop()
        embed._forget()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"PARTNER_TOKENS": "fake-partner-token"}, "did you mean 'PARTNER_TOKEN'?"),
        ({"ENCRYPTION_KEY": "fake-encryption-key"}, "did you mean 'ENCRYPTION_KEYS'?"),
        ({"XYZ": 1}, "the keys are BASE_URL"),
        ({"IDENTIFY": "no.such.function"}, "IDENTIFY cannot be imported"),
    ],
)
def test_wrong_keys(changed: dict[str, Any], said: str) -> None:
    """An unknown key is named with the nearest known one, and shows no value."""
    with (
        override_settings(CA_EMBED={**settings.CA_EMBED, **changed}),
        pytest.raises(ConfigurationError) as raised,
    ):
        embed.snippet()
    assert said in str(raised.value)
    assert "fake-" not in str(raised.value)


def test_admin(rows: Any, included_app: None) -> None:
    """The admin shows the status of a registration and no secret. No one can change it there."""
    test_settings(rows, included_app)
    shown = RegistrationAdmin(Registration, admin.site)
    request = RequestFactory().get("/")
    row = shown.get_queryset(request).get()
    assert [getattr(shown, name)(row) for name in ("status", "phone")] == ["completed", "421233221242"]
    allowed = (shown.has_add_permission, shown.has_change_permission, shown.has_delete_permission)
    assert not any(permission(request) for permission in allowed)
    assert "document" not in (*shown.list_display, *shown.fields)


def test_admin_links_to_the_operators_page(rows: Any, included_app: None) -> None:
    """With `STAFF`, also as a dotted path, each registration links to its operator's page."""
    test_settings(rows, included_app)
    shown = RegistrationAdmin(Registration, admin.site)
    row = shown.get_queryset(RequestFactory().get("/")).get()
    assert shown.operators_page(row) is None
    vars(urls)["no_staff"] = lambda _request: False
    with override_settings(CA_EMBED={**settings.CA_EMBED, "STAFF": f"{HOST}.no_staff"}):
        link = f'<a href="/chatarchitect/staff/{row.registration_id}">Open</a>'
        assert shown.operators_page(row) == link
    with (
        override_settings(CA_EMBED={**settings.CA_EMBED, "STAFF": "nonsense.staff"}),
        pytest.raises(ConfigurationError, match="STAFF cannot be imported"),
    ):
        embed.snippet()


def test_no_complaints(included_app: None) -> None:
    """With the settings above, the checks of ca_embed say nothing."""
    assert _complaints() == set()


@pytest.mark.parametrize(
    ("settings_override", "complaint"),
    [
        ({"SECURE_CROSS_ORIGIN_OPENER_POLICY": "same-origin"}, "ca_embed.W001"),
        ({"CA_EMBED": {}}, "ca_embed.E001"),
        ({"CA_EMBED": {**settings.CA_EMBED, "PUBLIC_URL": "https://crm.example/other"}}, "ca_embed.W003"),
    ],
)
def test_complaints(included_app: None, settings_override: dict[str, Any], complaint: str) -> None:
    """A system check finds what is wrong, and nothing else."""
    with override_settings(**settings_override):
        assert _complaints() == {complaint}


def test_urls_not_included() -> None:
    """A system check finds that the URLs are nowhere."""
    assert _complaints() == {"ca_embed.W002"}


def _complaints() -> set[str]:
    return {message.id for message in run_checks() if message.id.startswith("ca_embed.")}
