"""The test suite of an adapter, as a pytest class."""

from __future__ import annotations

import asyncio
import gzip
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ca_embed.assets._script import javascript
from ca_embed.http import MAX_BODY
from ca_embed.testing._adapter_host import Host, Site, reconcile_program, running
from ca_embed.testing._raw_http import TIMEOUT, HttpResponse, NoResponse
from ca_embed.testing._webhooks import signed_webhook


class AdapterContract(ABC):
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
    program: the path of a Python file with an application, your adapter in it, and one handler. The Embed is
        built with `Embed.from_env()`. The suite runs `ca-embed reconcile --app` on it.
    program_app: what `--app` names in that file.
    """

    csrf: ClassVar[bool] = False
    buffers_bodies: ClassVar[bool] = False
    sees_repeated_headers: ClassVar[bool] = True
    writes_zero_length: ClassVar[bool] = False
    program: ClassVar[Path | None] = None
    program_app: ClassVar[str] = "app"

    @abstractmethod
    def serve(self, site: Site) -> AbstractContextManager[None]:
        """Return a context manager that serves a host application with your adapter mounted in it."""

    @abstractmethod
    def user_of(self, request: Any) -> str | None:
        """Return the value of the header X-User, read from the framework's own request, or None."""

    def in_handler(self) -> None:  # noqa: B027 (most frameworks have nothing to check)
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
        assert host.send("GET", f"/sessions/{registration_id}/", user="alice").status == 200

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

    def test_preflight(self, host: Host) -> None:
        """The preflight of an allowed page succeeds, and has each header once."""
        response = _preflight(host)
        assert response.status == 204
        assert response.all("access-control-allow-origin") == [f"http://127.0.0.1:{host.port}"]
        assert response.all("access-control-allow-methods") == ["POST"]

    def test_forged_host(self, host: Host) -> None:
        """A forged Host does not change the webhook URL, where credentials go."""
        forged = [("Host", "evil.example"), ("X-Forwarded-Host", "evil.example")]
        opened = host.open_session(headers=forged)
        assert opened.status == 201
        session = host.sandbox.session(opened.json()["registration_id"])
        assert session.webhook_url == host.embed._core.settings.webhook_url

    # --- the body -------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "application/json",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "multipart/form-data",
            "text/plain",
        ],
    )
    def test_raw_body(self, host: Host, content_type: str | None) -> None:
        """The signed bytes arrive as they were sent, with any Content-Type."""
        kind = [] if content_type is None else [("Content-Type", content_type)]
        _, plain = signed_webhook("", registration_id="raw-body")
        spaced = b"  " + plain.replace(b": ", b"\t:  ") + b"\r\n\n"
        odd = plain[:-1] + b',"a=1&b":"\xc3\xa9+%20"}'
        for body in (plain, spaced, odd):
            assert host.send("POST", "/webhook", [*kind, *host.signed(body)], body).status == 200
        for body in (b"\x00\xff\xfe", b"a=1&b=2", b"--b\r\n\r\nx\r\n--b--\r\n", b"%" * 1000, b""):
            refused = host.send("POST", "/webhook", [*kind, *host.signed(body)], body)
            assert (refused.status, refused.code) == (400, "invalid_payload")

    def test_chunked_body(self, host: Host) -> None:
        """A chunked body arrives too."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="chunked")
        assert host.send("POST", "/webhook", headers.items(), body, chunked=True).status == 200

    def test_size_limit(self, host: Host) -> None:
        """A body of 64 KiB is accepted, a longer one gets 413."""
        _, body = signed_webhook("", registration_id="size-limit")
        longest, too_long = body.ljust(MAX_BODY), body.ljust(MAX_BODY + 1)
        assert host.send("POST", "/webhook", host.signed(longest), longest).status == 200
        for chunked in (True, False):
            refused = host.send("POST", "/webhook", host.signed(too_long), too_long, chunked=chunked)
            assert (refused.status, refused.code) == (413, "body_too_large")
        if not self.buffers_bodies:
            refused = host.send("POST", "/webhook", host.signed(body), body, announce=10_000_000)
            assert (refused.status, refused.code) == (413, "body_too_large")

    def test_truncated_body(self, host: Host) -> None:
        """A body that is shorter than announced stores nothing."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="truncated")
        try:
            response = host.send(
                "POST", "/webhook", headers.items(), body, announce=len(body) + 1, hang_up=True
            )
        except NoResponse:
            pass  # right too: an ASGI server sees that the client has gone, and sends no response
        else:
            assert response.status == 400
        assert host.embed.registration("truncated") is None

    # --- headers --------------------------------------------------------------------------------

    def test_duplicate_headers(self, host: Host) -> None:
        """A repeated signature header is refused."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="duplicate-headers")
        second = {"X-CA-Signature": "sha256=" + "0" * 64, "X-CA-Timestamp": "1"}
        for name, value in second.items():
            refused = [host.send("POST", "/webhook", [*headers.items(), (name, value)], body)]
            if self.sees_repeated_headers:
                refused.append(host.send("POST", "/webhook", [(name, value), *headers.items()], body))
                refused.append(host.send("POST", "/webhook", [(name, headers[name]), *headers.items()], body))
            assert {(response.status, response.code) for response in refused} == {(401, "invalid_signature")}
        assert host.embed.registration("duplicate-headers") is None

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("X-CA-Signature", b""),
            ("X-CA-Signature", b"sha256=\xff\xfe"),
            ("X-CA-Signature", b"sha256=" + b"0" * 6000),
            ("X-CA-Timestamp", "\uff11\uff17".encode()),
            ("X-CA-Timestamp", b"1e9"),
            ("X-CA-Timestamp", b"9" * 400),
        ],
    )
    def test_hostile_signature(self, host: Host, name: str, value: bytes) -> None:
        """A malformed signature or timestamp is refused with 401."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="hostile")
        refused = host.send("POST", "/webhook", _with(headers, name, value), body)
        assert (refused.status, refused.code) == (401, "invalid_signature")
        assert host.embed.registration("hostile") is None

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Content-Type", b"\xff\xfe"),
            ("Content-Type", b"application/json; charset=nonsense"),
            ("Content-Encoding", b"nonsense"),
            ("Cookie", b"\xff=\xfe;;; =; csrftoken=\xff; session=e30.e30.e30"),
            ("Origin", b"\xff\xfe"),
            ("Accept-Language", b"\xff;q=nonsense,,,;"),
            ("If-None-Match", b'"\xff,,W/'),
            ("X-CA-Event-Id", b"\x7f\xff" + b"e" * 1000),
            ("Authorization", b"Basic \xff"),
        ],
    )
    def test_hostile_headers(self, host: Host, name: str, value: bytes) -> None:
        """No header value causes a server error."""
        headers, body = signed_webhook(host.sandbox.partner_token, registration_id="hostile-headers")
        responses = [
            host.send("POST", "/webhook", _with(headers, name, value), body),
            host.send("POST", "/sessions", [(name, value)], b"{}", user="alice"),
            *(host.send("GET", path, [(name, value)], user="alice") for path in ("/", "/ca-embed.js")),
        ]
        assert max(response.status for response in responses) < 500

    def test_compressed_body(self, host: Host) -> None:
        """A compressed body is refused, and not unpacked."""
        _, body = signed_webhook("", registration_id="compressed")
        packed = gzip.compress(body)
        sent = [("Content-Encoding", "gzip"), *host.signed(packed)]
        assert host.send("POST", "/webhook", sent, packed).status in (400, 401, 415)
        assert host.embed.registration("compressed") is None

    # --- responses --------------------------------------------------------------------------------

    def test_head(self, host: Host) -> None:
        """HEAD gets the response of GET, without its body."""
        for path in ("/", "/ca-embed.js", "/health", f"/{javascript().hashed_name}"):
            got, head = (host.send(method, path, user="alice") for method in ("GET", "HEAD"))
            assert (head.status, head.body) == (200, b"")
            assert head.all("content-type") == got.all("content-type")
            assert set(head.all("content-length")) <= {str(len(got.body))}
        assert host.send("HEAD", "/sessions/unknown", user="alice").status == 404

    def test_not_found(self, host: Host) -> None:
        """An unknown path below the mount gets ca_embed's own 404."""
        for method, path in (("GET", "/nothing"), ("GET", "/sessions/a/b"), ("GET", "/ca-embed.0.js")):
            response = host.send(method, path, user="alice")
            assert (response.status, response.code) == (404, "not_found")

    def test_method_not_allowed(self, host: Host) -> None:
        """A wrong method gets ca_embed's own 405 with the allowed methods."""
        for method, path, allowed in (
            ("GET", "/webhook", {"POST"}),
            ("DELETE", "/health", {"GET", "HEAD"}),
            ("PATCH", "/ca-embed.js", {"GET", "HEAD"}),
        ):
            response = host.send(method, path, host.csrf_headers("alice"), user="alice")
            assert (response.status, response.code) == (405, "method_not_allowed")
            assert allowed <= set(response.all("allow")[0].split(", "))

    def test_asset(self, host: Host) -> None:
        """The script arrives complete, and its hashed name is marked as immutable."""
        asset = javascript()
        plain, hashed = host.send("GET", "/ca-embed.js"), host.send("GET", f"/{asset.hashed_name}")
        assert plain.body == hashed.body == asset.body
        assert "immutable" in hashed.all("cache-control")[0]

    def test_responses_without_body(self, host: Host) -> None:
        """A response without a body has no Content-Type and no Content-Length (RFC 9110, 8.6)."""
        etag = host.send("GET", "/ca-embed.js").all("etag")
        asked = [("If-None-Match", etag[0])]
        known = [host.send(method, "/ca-embed.js", asked) for method in ("GET", "HEAD")]
        assert [(response.status, response.all("etag")) for response in known] == [(304, etag)] * 2
        for response in (_preflight(host), *known):
            assert response.body == b""
            assert response.all("content-type") == response.all("transfer-encoding") == []
            assert response.all("content-length") == (["0"] if self.writes_zero_length else [])

    def test_security_headers(self, host: Host) -> None:
        """Every response has its security headers, each once, as the core set them."""
        responses = [
            host.send("GET", "/", user="alice"),
            host.send("GET", "/health"),
            host.send("GET", "/nothing"),
            host.send("POST", "/webhook"),
            host.open_session(),
        ]
        for response in responses:
            assert response.all("x-content-type-options") == ["nosniff"]
            for name in ("content-security-policy", "content-type", "cache-control", "referrer-policy"):
                assert len(response.all(name)) == 1
        assert responses[0].all("cross-origin-opener-policy") == ["same-origin-allow-popups"]
        assert responses[0].all("cache-control") == ["no-store"]

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


def _with(headers: dict[str, str], name: str, value: bytes) -> list[tuple[str, str | bytes]]:
    return [*((kept, text) for kept, text in headers.items() if kept != name), (name, value)]


def _preflight(host: Host) -> HttpResponse:
    asked = [("Origin", f"http://127.0.0.1:{host.port}"), ("Access-Control-Request-Method", "POST")]
    return host.send("OPTIONS", "/sessions", asked)


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
    for path in ("/", f"/sessions/{registration_id}"):
        _check_refused(host.send("GET", path), 401, "not_signed_in")
    _check_refused(host.send("POST", "/sessions", host.csrf_headers("alice"), b"{}"), 401, "not_signed_in")


def _check_refused(response: HttpResponse, status: int, code: str) -> None:
    assert (response.status, response.code) == (status, code)
