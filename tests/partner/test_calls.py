"""The three calls and their responses, as the guide describes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ca_embed._partner.client import PartnerClient, Result, Retry
from ca_embed._registration import Session
from ca_embed._webhook import token_id
from ca_embed.errors import (
    ConfigurationError,
    EmbedError,
    InvalidArgument,
    PartnerBusy,
    PartnerError,
    PartnerRejected,
    PartnerTimeout,
    PartnerUnavailable,
)
from tests.partner.raw_server import SESSION_ID, TOKEN, RawServer, http

ORIGIN, WEBHOOK = "https://partner.example", "https://partner.example/webhook"

COMPLETED = {
    "status": "completed",
    "registration_id": SESSION_ID,
    "app_id": "ca_app_123",
    "app_secret": "fake-secret-value",
    "phone": "421233221242",
    "integration": "My CRM",
    "completed_at": "2026-07-04T12:00:00+02:00",
}


def created(server: RawServer, **changes: object) -> dict[str, Any]:
    """Return the guide's response to create_session, with this server's URL."""
    answer = {
        "registration_id": SESSION_ID,
        "iframe_url": f"{server.base_url}/?s={SESSION_ID}&mode=embed",
        "expires_at": "2026-07-05T10:00:00+00:00",
        "status": "started",
    }
    return answer | changes


def head_of(request: bytes) -> tuple[str, dict[str, str]]:
    """Return the request line and the headers, their names in lower case."""
    line, *headers = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return line, {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}


def sent(server: RawServer) -> dict[str, object]:
    """Return the JSON body of the last request."""
    fields: dict[str, object] = json.loads(server.last_request.partition(b"\r\n\r\n")[2])
    return fields


# --- the calls -------------------------------------------------------------------------------------


def test_create_session_sends_what_the_guide_says(client: PartnerClient, server: RawServer) -> None:
    """create_session sends a POST of JSON with the Bearer token, and returns the session."""
    server.answers = [http(created(server))]
    session = client.create_session(
        parent_origin=ORIGIN,
        webhook_url=WEBHOOK,
        partner_user_id="user_456",
        partner_state="ö 🙂 \x00",
        integration="My CRM",
        lang="en",
    )
    line, headers = head_of(server.last_request)
    assert line == "POST /partner?action=create_session HTTP/1.1"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["content-type"] == "application/json"
    assert sent(server) == {
        "parent_origin": ORIGIN,
        "webhook_url": WEBHOOK,
        "partner_user_id": "user_456",
        "partner_state": "ö 🙂 \x00",
        "integration": "My CRM",
        "lang": "en",
    }
    assert session == Session(
        SESSION_ID,
        f"{server.base_url}/?s={SESSION_ID}&mode=embed",
        datetime(2026, 7, 5, 10, tzinfo=UTC),
        "started",
    )


def test_create_session_leaves_out_what_is_none(client: PartnerClient, server: RawServer) -> None:
    """Optional fields without a value are not sent, and the origin is sent in its canonical form."""
    server.answers = [http(created(server))]
    client.create_session(parent_origin="HTTPS://Partner.Example:443", webhook_url=WEBHOOK)
    assert sent(server) == {"parent_origin": ORIGIN, "webhook_url": WEBHOOK}


def test_calls_go_below_a_path(server: RawServer) -> None:
    """A base URL may have a path, with or without a slash at the end."""
    server.answers = [http({"status": "started"})]
    with PartnerClient(f"{server.base_url}/whatsapp/", TOKEN) as client:
        client.result(SESSION_ID)
    assert server.last_request.startswith(b"GET /whatsapp/partner?action=result&")


@pytest.mark.parametrize(
    "status",
    ["started", "phone_code_sent", "phone_verified", "form_completed", "fb_started", "expired", "new_word"],
)
def test_result_of_an_open_registration(client: PartnerClient, server: RawServer, status: str) -> None:
    """Every status of the guide, and an unknown one, is returned as it is."""
    server.answers = [http({"status": status})]
    assert client.result(SESSION_ID) == Result(status)
    line, headers = head_of(server.last_request)
    assert line == f"GET /partner?action=result&registration_id={SESSION_ID} HTTP/1.1"
    assert headers["authorization"] == f"Bearer {TOKEN}"


def test_result_of_a_completed_registration(client: PartnerClient, server: RawServer) -> None:
    """A completed registration has its credentials, authenticated by this token."""
    server.answers = [http(COMPLETED)]
    result = client.result(SESSION_ID)
    assert result.status == "completed"
    assert result.completion is not None
    credentials = result.completion.credentials
    assert credentials.app_id == "ca_app_123"
    assert credentials.app_secret == "fake-secret-value"
    assert credentials.phone == "421233221242"
    assert credentials.integration == "My CRM"
    assert credentials.completed_at == datetime(2026, 7, 4, 10, tzinfo=UTC)
    assert result.completion.registration_id == SESSION_ID
    assert result.completion.signed_at is None
    assert result.completion.partner_fields is None
    assert result.completion.token_id == token_id(TOKEN)
    assert "fake-secret-value" not in repr(result)


def test_result_without_a_time_is_completed_now(client: PartnerClient, server: RawServer) -> None:
    """For a completed registration without completed_at, the time is now."""
    server.answers = [http({name: value for name, value in COMPLETED.items() if name != "completed_at"})]
    before = datetime.now(UTC)
    completion = client.result(SESSION_ID).completion
    assert completion is not None
    assert before <= completion.credentials.completed_at <= datetime.now(UTC)
    assert not completion.dated


def test_retry_webhook(client: PartnerClient, server: RawServer) -> None:
    """retry_webhook sends a POST of the registration id, and returns the outcome of the delivery."""
    server.answers = [http({"status": "sent", "attempts": 2, "last_error": ""})]
    assert client.retry_webhook(SESSION_ID) == Retry("sent", 2, "")
    line, headers = head_of(server.last_request)
    assert line == "POST /partner?action=retry_webhook HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert sent(server) == {"registration_id": SESSION_ID}


def test_last_error_is_one_short_line_without_the_token(client: PartnerClient, server: RawServer) -> None:
    """last_error is quoted, but only characters that a log may have."""
    said = f"HTTP 500\r\n{TOKEN[:9]}\x00{TOKEN[9:]} " + "x" * 500
    server.answers = [http({"status": "failed", "attempts": 3, "last_error": said})]
    quoted = client.retry_webhook(SESSION_ID).last_error
    assert quoted.startswith("HTTP 500<partner token> xxx")
    assert len(quoted) == 200


def test_answers_may_have_fields_that_are_yet_to_come(client: PartnerClient, server: RawServer) -> None:
    """Unknown fields are ignored."""
    server.answers = [http(created(server, region="eu", limits=[1, 2]))]
    assert client.create_session(parent_origin=ORIGIN, webhook_url=WEBHOOK).status == "started"


# --- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"parent_origin": "https://partner.example/"},
        {"parent_origin": "https://partner.example/path"},
        {"parent_origin": "https://partner.example?x"},
        {"parent_origin": "https://partner.example#x"},
        {"parent_origin": "https://user@partner.example"},
        {"parent_origin": "ftp://partner.example"},
        {"parent_origin": "partner.example"},
        {"parent_origin": "null"},
        {"parent_origin": ""},
        {"parent_origin": None},
        {"webhook_url": "http://partner.example/webhook"},
        {"webhook_url": "https:///webhook"},
        {"webhook_url": "/webhook"},
        {"webhook_url": "http://127.0.0.1.example/"},
        {"webhook_url": "https://partner.example/web hook"},
        {"webhook_url": None},
        {"partner_user_id": 456},
        {"partner_user_id": b"user"},
        {"partner_state": "\ud800"},
        {"partner_state": "x" * 32768},
        {"integration": ["My CRM"]},
        {"lang": True},
    ],
)
def test_wrong_arguments_are_not_sent(
    client: PartnerClient, server: RawServer, arguments: dict[str, Any]
) -> None:
    """An argument that the guide does not allow is refused before the call. The error names it."""
    good = {"parent_origin": ORIGIN, "webhook_url": WEBHOOK}
    with pytest.raises(InvalidArgument) as refusal:
        client.create_session(**good | arguments)
    assert isinstance(refusal.value, EmbedError)
    assert isinstance(refusal.value, ValueError)
    assert refusal.value.answer.startswith((next(iter(arguments)), "The texts"))
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_a_webhook_may_be_plain_on_this_machine(client: PartnerClient, server: RawServer, host: str) -> None:
    """For development, webhook_url may be http on the three loopback hosts."""
    server.answers = [http(created(server))]
    client.create_session(parent_origin=f"http://{host}", webhook_url=f"http://{host}/webhook")
    assert sent(server)["webhook_url"] == f"http://{host}/webhook"


@pytest.mark.parametrize(
    "wrong", ["", "a" * 129, "a b", "a/b", "a&action=create_session", "ä", "a\n", None, 7]
)
def test_only_registration_ids_are_asked_about(client: PartnerClient, server: RawServer, wrong: Any) -> None:
    """A malformed registration id is refused before the call."""
    with pytest.raises(InvalidArgument, match="registration_id"):
        client.result(wrong)
    with pytest.raises(InvalidArgument, match="registration_id"):
        client.retry_webhook(wrong)
    assert server.connections == 0


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "http://registration.example",
        "https://registration.example/?x",
        "https://registration.example/?",
        "https://registration.example/#x",
        "https://user:password@registration.example",
        "https://",
        "registration.example",
    ],
)
def test_a_base_url_must_be_one(base_url: str) -> None:
    """A base URL is https, or http on this machine, and ends with its path."""
    with pytest.raises(ConfigurationError, match="base_url: ") as refusal:
        PartnerClient(base_url, TOKEN)
    assert "password@" not in str(refusal.value)


@pytest.mark.parametrize(
    "token", ["", " ", "two words-two words", "line-end-at-the-end\n", "tökén-tökén-tökén"]
)
def test_a_token_must_fit_a_header(token: str) -> None:
    """A token that no header can carry is refused. The error does not show it."""
    with pytest.raises(ConfigurationError, match="partner_token") as refusal:
        PartnerClient("https://registration.example", token)
    assert len(token) < 2 or token.strip() not in str(refusal.value)


def test_all_wrong_settings_are_told_at_once() -> None:
    """One error names the base URL and the token."""
    with pytest.raises(ConfigurationError) as refusal:
        PartnerClient("", "")
    assert len(refusal.value.problems) == 2


# --- answers that are none -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"registration_id": None},
        {"registration_id": 7},
        {"registration_id": "../../etc"},
        {"registration_id": ""},
        {"iframe_url": None},
        {"iframe_url": ["https://registration.example"]},
        {"expires_at": None},
        {"expires_at": 1783245600},
        {"expires_at": "tomorrow"},
        {"expires_at": "9999-12-31T23:59:59-23:59"},
        {"status": None},
        {"status": "completed"},
        {"status": "Started"},
        {"status": "started\n"},
        {"status": "a" * 41},
        {"status": "error"},
    ],
)
def test_a_session_that_is_none(client: PartnerClient, server: RawServer, changes: dict[str, object]) -> None:
    """A session with a wrong field is an invalid response."""
    server.answers = [http(created(server, **changes))]
    with pytest.raises(PartnerUnavailable, match=next(iter(changes))):
        client.create_session(parent_origin=ORIGIN, webhook_url=WEBHOOK)


@pytest.mark.parametrize(
    "iframe_url",
    [
        "https://evil.example/?s=1",
        "http://127.0.0.1/?s=1",
        "https://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}@evil.example/",
        "http://127.0.0.1:{port}\\@evil.example/",
        "http://127.0.0.1.:{port}/",
        "javascript:alert(1)",
        "//127.0.0.1:{port}/",
        "/?s=1",
        "",
    ],
)
def test_an_iframe_elsewhere_is_refused(client: PartnerClient, server: RawServer, iframe_url: str) -> None:
    """An iframe_url with another origin than the base URL is refused."""
    server.answers = [http(created(server, iframe_url=iframe_url.format(port=server.port)))]
    with pytest.raises(PartnerRejected, match="iframe_url") as refusal:
        client.create_session(parent_origin=ORIGIN, webhook_url=WEBHOOK)
    assert refusal.value.partner_status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"registration_id": "another_registration_00"},
        {"registration_id": None},
        {"app_id": None},
        {"app_id": ""},
        {"app_secret": None},
        {"app_secret": ""},
        {"app_secret": 1234},
        {"phone": 421233221242},
        {"completed_at": "yesterday"},
        {"status": 7},
        {"status": "COMPLETED"},
        {"status": "error"},
    ],
)
def test_a_result_that_is_none(client: PartnerClient, server: RawServer, changes: dict[str, object]) -> None:
    """Incomplete credentials, and those of another registration, are an invalid response."""
    server.answers = [http(COMPLETED | changes)]
    with pytest.raises(PartnerUnavailable, match=next(iter(changes))) as failure:
        client.result(SESSION_ID)
    assert "fake-secret-value" not in str(failure.value)


@pytest.mark.parametrize("attempts", [None, "2", -1, True, 1.5])
def test_a_retry_that_is_none(client: PartnerClient, server: RawServer, attempts: object) -> None:
    """A wrong number of attempts is an invalid response."""
    server.answers = [http({"status": "sent", "attempts": attempts, "last_error": ""})]
    with pytest.raises(PartnerUnavailable, match="attempts"):
        client.retry_webhook(SESSION_ID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome to the hotel's network</html>",
        b'["status", "started"]',
        b'{"status": "started", "status": "completed"}',
        b'{"status": "started", "x": NaN}',
        b'{"status": "start\xff"}',
        '{"status": "started"}'.encode("utf-16"),
        b'{"status": "started"',
        b"[" * 50_000,
    ],
)
def test_an_answer_that_is_not_strict_json(client: PartnerClient, server: RawServer, body: bytes) -> None:
    """A response that is not a strict JSON object is invalid."""
    server.answers = [http(body)]
    with pytest.raises(PartnerUnavailable, match="strict JSON"):
        client.result(SESSION_ID)


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("400 Bad Request", "arguments"),
        ("401 Unauthorized", "check partner_token"),
        ("403 Forbidden", "check partner_token"),
        ("404 Not Found", "another partner token"),
        ("409 Conflict", "not completed yet"),
        ("418 Teapot", "base_url"),
        ("429 Too Many Requests", "wait"),
    ],
)
def test_a_refusal_tells_what_to_do(client: PartnerClient, server: RawServer, status: str, hint: str) -> None:
    """A 4xx raises PartnerRejected with its status, the Partner API's own words, and what to do next."""
    server.answers = [http({"status": "error", "message": "Invalid registration id"}, status)]
    for call in (client.result, client.retry_webhook):
        with pytest.raises(PartnerRejected, match=hint) as refusal:
            call(SESSION_ID)
        assert refusal.value.partner_status == int(status[:3])
        assert "Invalid registration id" in str(refusal.value)
        assert "Invalid registration id" not in refusal.value.answer
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "status", ["500 Internal Server Error", "501 Not Implemented", "599 Odd", "700 Odder"]
)
def test_a_failure_of_the_partner_api(client: PartnerClient, server: RawServer, status: str) -> None:
    """A 5xx or an invalid status raises PartnerUnavailable, without another attempt."""
    server.answers = [http({"status": "error", "message": "Server-side failure"}, status)]
    with pytest.raises(PartnerUnavailable, match="Server-side failure"):
        client.result(SESSION_ID)
    assert len(server.requests) == 1


NOON = "Date: Tue, 24 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 120"], 120.0),
        (["Retry-After:   0  "], 0.0),
        (["Retry-After: -5"], 0.0),
        (["Retry-After: 86401"], 86_400.0),
        (["Retry-After: " + "9" * 5000], 86_400.0),
        ([NOON, "Retry-After: Tue, 24 Nov 2026 12:02:00 GMT"], 120.0),
        ([NOON, "Retry-After: Tue, 24 Nov 2026 12:02:00 -0000"], 120.0),
        ([NOON, "Retry-After: Tuesday, 24-Nov-26 12:02:00 GMT"], 120.0),
        ([NOON, "Retry-After: Tue, 24 Nov 2026 11:58:00 GMT"], 0.0),
        ([NOON, "Retry-After: Tue, 24 Nov 2099 12:00:00 GMT"], 86_400.0),
        (["Retry-After: Tue, 24 Nov 2026 12:02:00 GMT"], None),
        (["Date: noon", "Retry-After: Tue, 24 Nov 2026 12:02:00 GMT"], None),
        ([NOON, "Retry-After: Tue, 24 Nov 99999999999 12:02:00 GMT"], None),
        ([NOON, "Retry-After: Tue, 24 Nov 2026 12:02:00 +9999"], None),
        (["Retry-After: soon"], None),
        (["Retry-After: 1.5"], None),
        (["Retry-After: 1e3"], None),
        (["Retry-After: 10", "Retry-After: 20"], None),
        (["Retry-After:"], None),
        ([NOON], None),
    ],
)
def test_how_long_to_wait(
    client: PartnerClient, server: RawServer, status: str, headers: list[str], seconds: float | None
) -> None:
    """`retry_after` is what a 429 or 503 asks to wait, 0 to a day; None if that cannot be read."""
    server.answers = [http({}, status, *headers)]
    words = "a moment" if seconds is None else f"{seconds:.0f} seconds"
    for call in (client.result, client.retry_webhook):
        with pytest.raises((PartnerRejected, PartnerUnavailable), match=words) as failure:
            call(SESSION_ID)
        assert failure.value.retry_after == seconds


@pytest.mark.parametrize("status", ["301 Moved", "401 Unauthorized", "500 Oops", "502 Bad Gateway"])
def test_other_failures_ask_for_no_time(client: PartnerClient, server: RawServer, status: str) -> None:
    """`retry_after` is None for a reply with another status."""
    server.answers = [http({}, status, "Retry-After: 120")]
    with pytest.raises(PartnerError) as failure:
        client.result(SESSION_ID)
    assert failure.value.retry_after is None


@pytest.mark.parametrize("kind", [PartnerError, PartnerTimeout, PartnerBusy, PartnerUnavailable])
def test_every_error_has_a_time_to_wait(kind: type[PartnerError]) -> None:
    """Each PartnerError has `retry_after`, by default None."""
    assert kind("fails").retry_after is None
    assert kind("fails", retry_after=2.5).retry_after == 2.5
    rejected = PartnerRejected("fails", partner_status=429, retry_after=2.5)
    assert (rejected.partner_status, rejected.retry_after) == (429, 2.5)


@pytest.mark.parametrize(
    "message",
    [
        f"bad token {TOKEN}!",
        f"bad {TOKEN[:5]}\x00{TOKEN[5:]}",
        f"bad {'x' * 180}{TOKEN}",
        "a\r\nb\u2028c\x1b[31m\u202e",
    ],
)
def test_quotes_are_fit_for_a_log(client: PartnerClient, server: RawServer, message: str) -> None:
    """The Partner API's message is quoted in one line of 200 characters, without the token."""
    server.answers = [http({"status": "error", "message": message + "x" * 5000}, "400 Bad Request")]
    with pytest.raises(PartnerRejected) as refusal:
        client.result(SESSION_ID)
    text = str(refusal.value)
    assert text.isprintable()
    assert TOKEN not in text
    assert TOKEN[:12] not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    "body", [b"", b"Unauthorized", b'{"message": 7}', b"[]", b'{"message": "a", "message": "b"}']
)
def test_a_refusal_needs_no_message(client: PartnerClient, server: RawServer, body: bytes) -> None:
    """A 401 raises PartnerRejected with any body."""
    server.answers = [http(body, "401 Unauthorized")]
    with pytest.raises(PartnerRejected, match="check partner_token") as refusal:
        client.result(SESSION_ID)
    assert "said" not in str(refusal.value)
