"""The test suite of an adapter, as a pytest class."""

from __future__ import annotations

import asyncio
import html
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from ca_embed.testing._adapter_host import STAFF, Host, Site, reconcile_program, running
from ca_embed.testing._adapter_http_contract import AdapterHttpContract
from ca_embed.testing._raw_http import TIMEOUT, HttpResponse
from ca_embed.testing._webhooks import signed_webhook


class AdapterContract(AdapterHttpContract):
    """The test suite of an adapter. A subclass defines `serve()` and `user_of()`.

        class TestFlask(AdapterContract):
            @contextmanager
            def serve(self, site):
                app = Flask(__name__)
                app.register_blueprint(blueprint(site.embed), url_prefix=site.prefix)
                with serve_wsgi(app, site.listener, site.below):
                    yield

            def user_of(self, request):
                return request.headers.get("X-User")

    The suite serves your host application for real, and sends raw bytes to it, at two paths: at
    /chatarchitect with a plain `identify` and handler, and at /outer/nested/chatarchitect with
    asynchronous ones. If your framework has CSRF protection, turn it on in `serve()` and set `csrf`.

    A subclass may set these:

    csrf: True if the framework refuses a POST without its token, except to the webhook.
    buffers_bodies: True if the framework's server reads a whole body before it calls the adapter.
    sees_repeated_headers: False if the server keeps only the last of repeated headers.
    writes_zero_length: True if the framework adds `Content-Length: 0` to responses that must not have it.
    carries_compressed: False if a gateway in front hands on no compressed responses.
    program: the path of a Python file with an application, your adapter in it, and one handler. The Embed is
        built with `Embed.from_env()`. The suite runs `ca-embed reconcile --app` on it.
    program_app: what `--app` names in that file.
    """

    csrf: ClassVar[bool] = False
    program: ClassVar[Path | None] = None
    program_app: ClassVar[str] = "app"

    @abstractmethod
    def serve(self, site: Site) -> AbstractContextManager[None]:
        """Return a context manager that serves a host application with your adapter mounted in it."""

    @abstractmethod
    def user_of(self, request: Any) -> str | None:
        """Return the value of the header X-User, read from the framework's own request, or None."""

    def in_handler(self) -> None:
        """Raise if something of the framework is missing.

        The suite calls it inside a completion handler: in a request, in `reconcile()` and in threads.
        """

    @pytest.fixture(name="host", scope="class")
    @classmethod
    def _host(cls) -> Iterator[Host]:
        """The host application at /chatarchitect."""
        with running(cls(), prefix="/chatarchitect") as host:
            yield host

    @pytest.fixture(name="nested_host", scope="class")
    @classmethod
    def _nested_host(cls) -> Iterator[Host]:
        """The host application at /outer, with the mount at /nested/chatarchitect inside it."""
        with running(cls(), prefix="/nested/chatarchitect", below="/outer", asynchronous=True) as host:
            yield host

    # --- the flow -------------------------------------------------------------------------------

    def test_full_flow(self, host: Host) -> None:
        """A registration goes from the page to stored credentials, and the handler runs once."""
        _check_full_flow(host)

    def test_nested_prefix(self, nested_host: Host) -> None:
        """A registration also works below two prefixes, and the page has the full path."""
        _check_full_flow(nested_host)
        page = nested_host.send("GET", "/", user="alice").body.decode()
        assert 'endpoint="/outer/nested/chatarchitect"' in page

    def test_prefix(self, host: Host) -> None:
        """A path that only begins like the prefix belongs to the host; the bare prefix is the page."""
        for path in ("X", "X/webhook", "-js/health"):
            assert host.send("GET", path).code is None
        bare = host.send("GET", "", user="alice")
        assert bare.status == 200 or (300 < bare.status < 309 and bare.all("location")[0].endswith("/"))

    def test_trailing_slash(self, host: Host) -> None:
        """A slash at the end changes nothing, and there is no redirect."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="trailing-slash")
        assert host.send("POST", "/webhook/", headers.items(), body).status == 200
        opened = host.send("POST", "/sessions/", host.csrf_headers("alice"), b"{}", user="alice")
        assert opened.status == 201
        registration_id = opened.json()["registration_id"]
        for path in ("/sessions/", f"/sessions/{registration_id}/"):
            assert host.send("GET", path, user="alice").status == 200

    # --- the host's context -------------------------------------------------------------------------

    def test_handler_in_reconcile(self, host: Host) -> None:
        """In `reconcile()`, a handler has the context that it has in a request."""
        lost = host.lose_webhook()
        with host.later():
            report = host.embed.reconcile()
        assert (host.runs_of(lost), report.handlers_failed) == (1, 0)

    def test_handler_in_thread(self, host: Host) -> None:
        """A handler has its context also in a thread that calls `reconcile()`, time after time."""
        with ThreadPoolExecutor(1) as threads:
            for _ in range(2):
                lost = host.lose_webhook()
                with host.later():
                    report = threads.submit(host.embed.reconcile).result()
                assert (host.runs_of(lost), report.handlers_failed) == (1, 0)

    def test_handler_on_event_loop(self, host: Host, nested_host: Host) -> None:
        """A handler has its context also in `areconcile()`, asynchronous or not."""
        for one in (host, nested_host):
            lost = one.lose_webhook()
            with one.later():
                report = asyncio.run(one.embed.areconcile())
            assert (one.runs_of(lost), report.handlers_failed) == (1, 0)

    def test_handler_on_command_line(self, tmp_path: Path) -> None:
        """`ca-embed reconcile --app` finds the Embed of the application, and the handler runs."""
        if self.program is None:
            return
        storage = f"sqlite:///{tmp_path}/registrations.db"
        report = reconcile_program(self.program, self.program_app, storage=storage)
        assert (report["completed"], report["handlers_done"], report["handlers_failed"]) == (1, 1, 0)

    # --- users and origins --------------------------------------------------------------------------

    def test_identify_sync(self, host: Host) -> None:
        """A user reaches only their own registrations; without a sign-in there are none."""
        _check_users_apart(host)

    def test_identify_async(self, nested_host: Host) -> None:
        """Users are kept apart also with an asynchronous `identify`."""
        _check_users_apart(nested_host)

    def test_csrf(self, host: Host) -> None:
        """The webhook needs no CSRF token; a new session needs one if the host has CSRF protection."""
        assert host.deliver("without-token").status == 200
        without = host.send("POST", "/sessions", [("Content-Type", "application/json")], b"{}", user="alice")
        assert (400 <= without.status < 500) if self.csrf else (without.status == 201)
        assert host.open_session().status == 201

    def test_foreign_page(self, host: Host) -> None:
        """A page of another origin gets no session, even with a signed-in user."""
        refused = host.open_session(headers=[("Origin", "https://evil.example")])
        assert refused.status in (400, 403)
        assert refused.code in ("forbidden_origin", None)
        assert not refused.all("access-control-allow-origin")

    def test_step(self, host: Host) -> None:
        """The page of the owner can report a step, and no one else can."""
        registration_id = host.open_session().json()["registration_id"]
        path, body = f"/sessions/{registration_id}/step", b'{"step": "phone_verified"}'
        for user, status in (("bob", 404), ("alice", 204)):
            headers = [*host.csrf_headers(user), ("Content-Type", "application/json")]
            assert host.send("POST", path, headers, body, user=user).status == status
        registration = host.embed.registration(registration_id)
        assert registration is not None
        assert registration.furthest_step == "phone_verified"

    def test_return_url(self, host: Host) -> None:
        """The page has the link back that its query asks for, if it leads to an allowed origin."""
        back = f"http://127.0.0.1:{host.port}/caf%C3%A9?tab=a+b&c=%26#d"
        page = host.send("GET", f"/?return_url={quote(back, safe='')}", user="alice").body.decode()
        assert f'href="{html.escape(back)}"' in page
        elsewhere = host.send("GET", "/?return_url=https%3A%2F%2Fevil.example", user="alice")
        assert (elsewhere.status, b"evil.example" in elsewhere.body) == (200, False)

    def test_staff(self, host: Host, nested_host: Host) -> None:
        """The operator's page is for the staff alone, and its forms need no CSRF token of the host."""
        for one in (host, nested_host):
            registration_id = one.open_session().json()["registration_id"]
            for path in ("/staff", "/staff/", f"/staff/{registration_id}"):
                page = one.send("GET", path, user=STAFF)
                assert (page.status, registration_id in page.body.decode()) == (200, True)
                _check_refused(one.send("GET", path, user="alice"), 404, "not_found")
            done = one.press(f"/staff/{registration_id}?ask=disconnect", "disconnect")
            assert done.status == 303
            assert done.all("location") == [
                f"{one.embed._core.settings.public_url}/staff/{registration_id}?done=disconnected"
            ]
            assert _status(one, registration_id) == "disconnected"

    def test_forged_host(self, host: Host) -> None:
        """A forged Host does not change the webhook URL, where credentials go."""
        forged = [("Host", "evil.example"), ("X-Forwarded-Host", "evil.example")]
        opened = host.open_session(headers=forged)
        assert opened.status == 201
        session = host.sandbox.session(opened.json()["registration_id"])
        assert session.webhook_url == host.embed._core.settings.webhook_url

    # --- concurrency --------------------------------------------------------------------------------

    def test_concurrent_webhooks(self, host: Host) -> None:
        """Of equal deliveries at the same moment one is accepted, and the handler runs once."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="concurrent")
        with ThreadPoolExecutor(8) as threads:
            deliveries = [
                threads.submit(host.send, "POST", "/webhook", headers.items(), body) for _ in range(16)
            ]
            statuses = sorted(delivery.result().json()["status"] for delivery in deliveries)
        assert statuses == ["accepted", *["duplicate"] * 15]
        assert host.runs_of("concurrent") == 1

    def test_slow_storage(self, host: Host) -> None:
        """While one request waits for the storage, others are answered: no event loop is blocked."""
        registration_id = host.open_session().json()["registration_id"]
        with ThreadPoolExecutor(1) as threads, host.gate.closed(registration_id):
            slow = threads.submit(host.send, "GET", f"/sessions/{registration_id}", user="alice")
            assert host.gate.reached.wait(TIMEOUT)
            assert host.deliver("beside-slow-storage").status == 200
            assert host.send("GET", "/health").status == 200
            assert not slow.done()
        assert slow.result().status == 200

    def test_slow_identify(self, host: Host) -> None:
        """While one request waits in `identify`, webhooks are answered."""
        with ThreadPoolExecutor(1) as threads, host.gate.closed("sloth"):
            slow = threads.submit(host.send, "GET", "/sessions/unknown", user="sloth")
            assert host.gate.reached.wait(TIMEOUT)
            assert host.deliver("beside-slow-identify").status == 200
            assert not slow.done()
        assert slow.result().status == 404


def _check_full_flow(host: Host) -> None:
    opened = host.open_session(lang="es-MX")
    assert opened.status == 201, opened.body
    registration_id = opened.json()["registration_id"]
    assert host.sandbox.session(registration_id).lang == "es"
    assert host.sandbox.session(registration_id).partner_user_id == "alice"
    assert _status(host, registration_id) == "started"
    delivered = host.sandbox.complete(registration_id)
    assert [(delivery.status_code, delivery.error) for delivery in delivered] == [(200, "")]
    assert _status(host, registration_id) == "completed"
    credentials = host.embed.credentials(registration_id)
    assert credentials is not None
    assert credentials.app_id == host.sandbox.session(registration_id).app_id
    assert host.runs_of(registration_id) == 1
    assert host.sandbox.deliver(registration_id).body == '{"status": "duplicate"}'
    assert host.runs_of(registration_id) == 1


def _status(host: Host, registration_id: str) -> str | None:
    return host.send("GET", f"/sessions/{registration_id}", user="alice").json().get("status")


def _check_users_apart(host: Host) -> None:
    registration_id = host.open_session("alice").json()["registration_id"]
    assert _status(host, registration_id) == "started"
    _check_refused(host.send("GET", f"/sessions/{registration_id}", user="bob"), 404, "not_found")
    listed = host.send("GET", "/sessions", user="alice").json()["registrations"]
    assert listed[0] == host.send("GET", f"/sessions/{registration_id}", user="alice").json()
    assert host.send("GET", "/sessions", user="bob").json() == {"registrations": []}
    for path in ("/", "/sessions", f"/sessions/{registration_id}"):
        _check_refused(host.send("GET", path), 401, "not_signed_in")
    _check_refused(host.send("POST", "/sessions", host.csrf_headers("alice"), b"{}"), 401, "not_signed_in")


def _check_refused(response: HttpResponse, status: int, code: str) -> None:
    assert (response.status, response.code) == (status, code)
