"""The Partner API, endpoint by endpoint and error by error, as the guide describes it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from ca_embed.sandbox import Sandbox

from .conftest import TOKENS, Partner, Receiver, listening


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all tests here. Each test has its own sessions, and none changes a knob."""
    with Sandbox(partner_tokens=TOKENS) as running:
        yield running


@pytest.fixture(scope="module")
def shared_receiver() -> Iterator[Receiver]:
    """One receiver for all tests here."""
    with listening() as state:
        yield state


@pytest.fixture
def receiver(shared_receiver: Receiver) -> Receiver:
    """The shared receiver, emptied before each test."""
    shared_receiver.received.clear()
    shared_receiver.status = 200
    return shared_receiver


def assert_error(answer: requests.Response, status: int, word: str = "") -> None:
    """Check the guide's error shape, and a word of the message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    content = answer.json()
    assert set(content) == {"status", "message"}
    assert content["status"] == "error"
    assert word in content["message"]


class TestCreateSession:
    def test_answers_as_the_guide_shows(self, sandbox: Sandbox, partner: Partner) -> None:
        """The response has the four fields of the guide's example."""
        answer = partner.create()
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        content = answer.json()
        assert set(content) == {"registration_id", "iframe_url", "expires_at", "status"}
        registration_id = content["registration_id"]
        assert re.fullmatch("[a-z0-9]{22}", registration_id)
        assert content["iframe_url"] == f"{sandbox.base_url}/?s={registration_id}&mode=embed"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", content["expires_at"])
        left = datetime.fromisoformat(content["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(hours=1)
        assert content["status"] == "started"

    def test_keeps_what_it_was_told(self, sandbox: Sandbox, partner: Partner) -> None:
        """The session holds every field of the request."""
        session = sandbox.session(partner.created(lang="es"))
        assert {name: getattr(session, name) for name in partner.session_body} == {
            **partner.session_body,
            "lang": "es",
        }

    def test_fills_in_the_defaults(self, sandbox: Sandbox, partner: Partner) -> None:
        """Without the optional fields, integration is Partner and lang is en."""
        registration_id = partner.created(
            partner_user_id=None, partner_state=None, integration=None, lang=None
        )
        session = sandbox.session(registration_id)
        assert (session.partner_user_id, session.partner_state) == (None, None)
        assert (session.integration, session.lang) == ("Partner", "en")

    @pytest.mark.parametrize("blank", ["", "   "])
    def test_calls_a_blank_integration_partner(self, sandbox: Sandbox, partner: Partner, blank: str) -> None:
        """A blank integration counts as omitted."""
        assert sandbox.session(partner.created(integration=blank)).integration == "Partner"

    @pytest.mark.parametrize("lang", ["de", "en", "es", "pt", "ru"])
    def test_knows_the_guides_languages(self, partner: Partner, lang: str) -> None:
        """Each language of the guide is accepted."""
        assert partner.create(lang=lang).status_code == 200

    @pytest.mark.parametrize("lang", ["fr", "EN", "pt-BR", ""])
    def test_refuses_other_languages(self, partner: Partner, lang: str) -> None:
        """A language that the guide does not list is refused."""
        assert_error(partner.create(lang=lang), 400, "lang")

    @pytest.mark.parametrize(
        "origin",
        ["https://crm.example", "http://crm.example", "https://crm.example:8443", "http://[::1]:8000"],
    )
    def test_takes_origins(self, partner: Partner, origin: str) -> None:
        """An origin has a scheme, a host and an optional port."""
        assert partner.create(parent_origin=origin).status_code == 200

    @pytest.mark.parametrize(
        "origin",
        [
            None,
            "",
            "crm.example",
            "ftp://crm.example",
            "https://",
            "https://crm.example/",
            "https://crm.example/page",
            "https://crm.example?x=1",
            "https://crm.example#x",
            "https://me@crm.example",
            "https://crm.example:",
            "https://crm.example:0",
            "https://crm.example:65536",
            "https://crm.example https://evil.example",
            "https://crm.example; script-src *",
            "https://*.example",
            "https://crm.example\n",
            "*",
            "null",
        ],
    )
    def test_refuses_what_is_no_origin(self, partner: Partner, origin: str | None) -> None:
        """Any other origin is refused, and the message names the field."""
        assert_error(partner.create(parent_origin=origin), 400, "parent_origin")

    @pytest.mark.parametrize(
        "url",
        [
            "https://crm.example/webhook",
            "http://127.0.0.1:8000/webhook",
            "http://localhost/webhook",
            "http://[::1]:8000/webhook",
        ],
    )
    def test_takes_webhook_urls(self, partner: Partner, url: str) -> None:
        """A webhook URL is https, or http on this machine."""
        assert partner.create(webhook_url=url).status_code == 200

    @pytest.mark.parametrize(
        "url",
        [
            None,
            "",
            "http://crm.example/webhook",
            "http://127.0.0.1.crm.example/webhook",
            "http://localhost@crm.example/webhook",
            "https://",
            "https:///webhook",
            "https://[::1/webhook",
            "https://crm.example:99999/webhook",
            "https://crm.example/a b",
            "https://crm.example/\r\nX: y",
            "ftp://127.0.0.1/webhook",
            "/webhook",
        ],
    )
    def test_refuses_other_webhook_urls(self, partner: Partner, url: str | None) -> None:
        """Plain http to another machine and invalid URLs are refused, and the message names the field."""
        assert_error(partner.create(webhook_url=url), 400, "webhook_url")

    @pytest.mark.parametrize(
        "name", ["parent_origin", "webhook_url", "partner_user_id", "partner_state", "integration", "lang"]
    )
    @pytest.mark.parametrize("value", [7, True, ["x"], {"x": 1}, "\ud800"])
    def test_wants_strings(self, partner: Partner, name: str, value: object) -> None:
        """A field that is not a string that UTF-8 can hold is refused."""
        assert_error(partner.create(**{name: value}), 400, name)

    def test_refuses_a_null(self, partner: Partner) -> None:
        """Null is refused, because it is not a string."""
        body = {**partner.session_body, "partner_state": None}
        assert_error(partner.call("POST", "create_session", json=body), 400, "partner_state")

    def test_refuses_unknown_fields(self, partner: Partner) -> None:
        """An unknown field is refused."""
        assert_error(partner.create(webhookUrl="https://crm.example"), 400, "webhook_url")


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'"text"',
            b"null",
            b'{"lang": NaN}',
            b'{"lang": "en", "lang": "de"}',
            b"\xff\xfe{\x00}\x00",
            b"[" * 60_000,
            b'{"lang": "' + b"x" * 70_000 + b'"}',
        ],
        ids=["empty", "cut", "list", "string", "null", "nan", "twice", "utf16", "deep", "long"],
    )
    @pytest.mark.parametrize("action", ["create_session", "retry_webhook"])
    def test_refuses_what_is_no_json_object(self, partner: Partner, action: str, body: bytes) -> None:
        """A body that is not one JSON object in UTF-8, of 64 KiB at most, is a 400."""
        headers = {"Authorization": f"Bearer {partner.token}", "Content-Type": "application/json"}
        answer = partner.call("POST", action, data=body, headers=headers)
        assert_error(answer, 400, "request body")

    @pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
    def test_wants_the_content_type(self, partner: Partner, content_type: str | None) -> None:
        """Another Content-Type than the guide's is refused."""
        headers = {"Authorization": f"Bearer {partner.token}", "Content-Type": content_type}
        assert_error(partner.call("POST", "create_session", data=b"{}", headers=headers), 400, "Content-Type")

    @pytest.mark.parametrize(
        "framing",
        [b"Content-Length: x", b"Content-Length: -5", b"Transfer-Encoding: chunked"],
    )
    def test_survives_broken_framing(self, sandbox: Sandbox, partner: Partner, framing: bytes) -> None:
        """A body shorter than announced is a 400."""
        host, _, port = sandbox.base_url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(
                b"POST /partner?action=create_session HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\n"
                + f"Authorization: Bearer {partner.token}\r\n".encode()
                + framing
                + b"\r\n\r\nzz\r\n"
            )
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'{"status": "error", "message": ' in answer


class TestAuthentication:
    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer fake-partner-token-three",
            "Bearer fake-partner-token-on",
            "Basic ZmFrZS1wYXJ0bmVyLXRva2VuLW9uZTo=",
            "fake-partner-token-one",
            "Bearer \xfcn\xefcode",
        ],
    )
    @pytest.mark.parametrize(
        ("method", "action"),
        [("POST", "create_session"), ("GET", "result"), ("POST", "retry_webhook"), ("GET", "nonsense")],
    )
    def test_refuses_strangers(
        self, partner: Partner, method: str, action: str, authorization: str | None
    ) -> None:
        """Without a known Bearer token every call is a 401, also if something else is wrong."""
        header = None if authorization is None else authorization.encode("latin-1")
        assert_error(partner.call(method, action, headers={"Authorization": header}), 401, "Bearer")

    def test_knows_every_partner(self, partner: Partner, other_partner: Partner) -> None:
        """Each configured token is accepted."""
        assert partner.create().status_code == other_partner.create().status_code == 200


class TestActions:
    @pytest.mark.parametrize(
        ("method", "action"),
        [
            ("GET", ""),
            ("GET", "nonsense"),
            ("POST", "nonsense"),
            ("GET", "create_session"),
            ("PUT", "create_session"),
            ("POST", "result"),
            ("GET", "retry_webhook"),
            ("DELETE", "retry_webhook"),
            ("OPTIONS", "result"),
        ],
    )
    def test_refuses_other_actions_and_methods(self, partner: Partner, method: str, action: str) -> None:
        """An action that the guide does not list is invalid."""
        assert_error(partner.call(method, action), 400, "Invalid action")

    @pytest.mark.parametrize("path", ["/nothing/here", "/partner/", "/Partner", "/%00"])
    def test_answers_other_paths_in_the_same_shape(self, sandbox: Sandbox, path: str) -> None:
        """An unknown path is a 404 in the guide's shape."""
        assert_error(requests.get(sandbox.base_url + path, timeout=10), 404)

    @pytest.mark.parametrize("host", ["[", "a b", "x" * 300, "..", "127.0.0.1:port"])
    def test_survives_any_host_header(self, sandbox: Sandbox, host: str) -> None:
        """A malformed Host is refused in the guide's shape, wherever the Host matters."""
        answer = requests.get(f"{sandbox.base_url}/sandbox/state", headers={"Host": host}, timeout=10)
        assert answer.status_code in (400, 403)
        assert answer.json()["status"] == "error"


class TestResult:
    @pytest.mark.parametrize(
        "status", ["started", "phone_code_sent", "phone_verified", "form_completed", "fb_started"]
    )
    def test_tells_the_status_alone(self, sandbox: Sandbox, partner: Partner, status: str) -> None:
        """Before the completion, the result has the status and nothing else."""
        registration_id = partner.created()
        sandbox.advance(registration_id, status)
        answer = partner.result(registration_id)
        assert (answer.status_code, answer.json()) == (200, {"status": status})

    def test_tells_that_a_session_expired(self, sandbox: Sandbox, partner: Partner) -> None:
        """The result of a session after its expires_at is expired."""
        registration_id = partner.created()
        sandbox.expire(registration_id)
        assert partner.result(registration_id).json() == {"status": "expired"}

    def test_hands_out_the_credentials(self, sandbox: Sandbox, partner: Partner) -> None:
        """After the completion, the result has exactly the guide's seven fields."""
        registration_id = partner.created()
        completed_at = datetime(2026, 7, 4, 10, 0, tzinfo=UTC)
        sandbox.complete(
            registration_id,
            app_id="ca_app_123",
            app_secret="fake_secret_value",
            phone="421233221242",
            completed_at=completed_at,
            deliver=False,
        )
        answer = partner.result(registration_id)
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "completed",
            "registration_id": registration_id,
            "app_id": "ca_app_123",
            "app_secret": "fake_secret_value",
            "phone": "421233221242",
            "integration": "My CRM",
            "completed_at": "2026-07-04T10:00:00+00:00",
        }

    def test_is_for_the_partner_that_opened_the_session(
        self, sandbox: Sandbox, partner: Partner, other_partner: Partner
    ) -> None:
        """Another partner's session gets the same response as an unknown one."""
        registration_id = partner.created()
        sandbox.complete(registration_id, deliver=False)
        theirs = other_partner.result(registration_id)
        assert_error(theirs, 404)
        assert theirs.text == other_partner.result("a" * 22).text

    @pytest.mark.parametrize("registration_id", ["", "short", "A" * 22, "a" * 23, "../../etc/passwd"])
    def test_refuses_what_is_no_registration_id(self, partner: Partner, registration_id: str) -> None:
        """A malformed id is a 400 with the guide's message."""
        assert_error(partner.result(registration_id), 400, "Invalid registration id")


class TestRetryWebhook:
    def test_sends_again(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """A retry delivers the same content under the next attempt's event id."""
        registration_id = partner.created()
        sandbox.complete(registration_id)
        answer = partner.retry(registration_id)
        assert answer.status_code == 200
        assert answer.json() == {"status": "sent", "attempts": 2, "last_error": ""}
        first, second = receiver.received
        assert first.payload == second.payload
        assert second.headers["X-CA-Event-Id"] == f"evt_{registration_id}_2"

    def test_tells_the_last_error(self, sandbox: Sandbox, partner: Partner, receiver: Receiver) -> None:
        """last_error has the receiver's status if it is no 2xx."""
        registration_id = partner.created()
        sandbox.complete(registration_id)
        receiver.status = 503
        assert partner.retry(registration_id).json() == {
            "status": "sent",
            "attempts": 2,
            "last_error": "HTTP 503",
        }

    def test_waits_for_the_completion(self, partner: Partner, receiver: Receiver) -> None:
        """Before the completion a retry is a 409, and nothing is sent."""
        assert_error(partner.retry(partner.created()), 409)
        assert receiver.received == []

    def test_is_for_the_partner_that_opened_the_session(
        self, sandbox: Sandbox, partner: Partner, other_partner: Partner
    ) -> None:
        """A retry of another partner's session is a 404, also before its completion."""
        assert_error(other_partner.retry(partner.created()), 404)

    @pytest.mark.parametrize("registration_id", ["", "short", 7])
    def test_refuses_what_is_no_registration_id(self, partner: Partner, registration_id: object) -> None:
        """A malformed id is a 400."""
        assert_error(partner.retry(registration_id), 400, "registration")
