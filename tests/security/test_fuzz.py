"""Any input gets a response of the interface's table, and raises nothing."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import run_wsgi_app

from ca_embed import Embed
from tests.doors.clients import Answer, AsgiClient, answer_of, checked
from tests.flow.kit import TOKEN, build, payload, signed

TABLE = {
    "/": {200, 401},
    "/sessions": {200, 201, 204, 400, 401, 403, 413, 429, 502, 503, 504},
    "/sessions/x/step": {204, 400, 401, 403, 404, 413, 503},
    "/sessions/x": {200, 204, 401, 403, 404, 503},
    "/webhook": {200, 400, 401, 409, 413, 503},
    "/ca-embed.js": {200, 304},
    "/health": {200, 503},
    "/staff": {200, 303, 400, 403, 413, 503},
    "/staff/x": {400, 403, 503},
}
EVERYWHERE = {404, 405}

HEADERS = [
    "x-ca-timestamp",
    "x-ca-signature",
    "x-ca-event-id",
    "content-type",
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "origin",
    "sec-fetch-site",
    "access-control-request-method",
    "access-control-request-headers",
    "if-none-match",
    "accept-language",
    "cookie",
    "range",
    "expect",
]
VALUES = st.sampled_from(
    [
        b"",
        b"0",
        b"5",
        b"-1",
        b"65537",
        b"chunked",
        b"gzip",
        b"null",
        b"https://crm.example",
        b"cross-site",
        b"POST",
        b"*",
        b'W/"x", "',
        b"de;q=x, en;q=9, *",
        b"sha256=" + b"0" * 64,
        b"1" * 30,
        b"\xc2\xb2",
    ]
)
A_HEADER = st.tuples(
    st.sampled_from(HEADERS),
    VALUES | st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\0")),
)
PATHS = st.sampled_from([*TABLE, "/webhook/", "/sessions/"]) | st.text(max_size=20).map(
    lambda text: "/" + text
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "get", "M-SEARCH"])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "event registration_id partner_user_id partner_state app_id app_secret phone integration completed_at "
    "lang more"
)
FIELDS = st.dictionaries(
    st.sampled_from(NAMES.split()),
    JSON | st.sampled_from(["x", "9999-12-31T23:59:59-23:59", "0001-01-01", "2026-W01-1", "x" * 300]),
    max_size=4,
)
BODIES = (
    st.binary(max_size=200)
    | st.sampled_from([b"", b"{}", b"[" * 9000, b" " * 65537, b'{"lang": "es"}', b"\xff\xfe{\x00}\x00"])
    | FIELDS.map(lambda fields: payload(**fields))
)
UNHURRIED = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Doors:
    """Both doors of one Embed, called without a client that corrects the input."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._asgi = AsgiClient(embed.asgi)

    def ask(self, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes) -> list[Answer]:
        return [self._by_wsgi(method, path, headers, body), self._by_asgi(method, path, headers, body)]

    def _by_wsgi(self, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes) -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path.encode("utf-8", "replace").decode("latin-1"),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        for name, value in headers:
            key = name.upper().replace("-", "_")
            key = key if key.startswith("CONTENT_") and key != "CONTENT_ENCODING" else f"HTTP_{key}"
            environ[key] = value.decode("latin-1")
        chunks, status, sent = run_wsgi_app(self._embed.wsgi, environ)
        return checked(int(status.split()[0]), list(sent), b"".join(chunks), method)

    def _by_asgi(self, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes) -> Answer:
        pairs = [(name, value.decode("latin-1")) for name, value in headers]
        incoming = [
            {"type": "http.request", "body": body[:100], "more_body": True},
            {"type": "http.request", "body": body[100:]},
        ]
        return answer_of(self._asgi.exchange(method, path, pairs, incoming), method)

    def close(self) -> None:
        self._asgi.close()
        self._embed.close()


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """Both doors of an Embed whose Partner API does not listen."""
    made = Doors(build(session_limit=None, staff=lambda _: True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ca_embed._host.log_limit.LINES_A_SECOND", 1_000_000)
        yield made
    made.close()


def expect_the_table(answers: list[Answer], path: str, method: str) -> None:
    """Compare responses with the table, and check the shape of errors."""
    known = path.rstrip("/") or "/"
    for answer in answers:
        assert answer.status in TABLE.get(known, set()) | EVERYWHERE
        is_page = known.startswith("/staff") and answer.headers["content-type"].startswith("text/html")
        if answer.status >= 400 and method != "HEAD" and not is_page:
            assert answer.code
            assert answer.headers["content-type"] == "application/json"


@UNHURRIED
@example("GET", "/ca-embed.js", [("if-none-match", b'W/"')], b"")
@example("GET", "/", [("accept-language", b"de;q=nan")], b"")
@example("GET", "/sessions/\ud800", [], b"")
@given(METHODS, PATHS, st.lists(A_HEADER, max_size=5), BODIES)
def test_anything(
    doors: Doors, method: str, path: str, headers: list[tuple[str, bytes]], body: bytes
) -> None:
    """Any method, path, headers and body get a response of the table, at both doors."""
    expect_the_table(doors.ask(method, path, headers, body), path, method)


@UNHURRIED
@given(BODIES, st.lists(A_HEADER, max_size=2))
def test_any_signed_body(doors: Doors, body: bytes, more: list[tuple[str, bytes]]) -> None:
    """Any body with a right signature gets a response of the table, with any other headers."""
    headers = [(name, value.encode()) for name, value in signed(body, token=TOKEN)[0].items()]
    expect_the_table(doors.ask("POST", "/webhook", headers + more, body), "/webhook", "POST")


@UNHURRIED
@given(FIELDS)
def test_any_fields(doors: Doors, fields: dict[str, Any]) -> None:
    """Both doors treat a signed event of any fields in the same way, and log it once."""
    caplog: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = caplog.append  # type: ignore[method-assign]
    logger = logging.getLogger("ca_embed")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        headers, body = signed(payload(**fields))
        raw = [(name, value.encode()) for name, value in headers.items()]
        answers = doors.ask("POST", "/webhook", raw, body)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    expect_the_table(answers, "/webhook", "POST")
    assert {answer.status for answer in answers} <= {200, 400, 409}
    assert answers[0].status == answers[1].status
    assert len([one for one in caplog if one.name == "ca_embed"]) == 2


@pytest.mark.parametrize("method", ["get", "Get", "head", "options", "5", "{"])
def test_methods_are_case_sensitive(doors: Doors, method: str) -> None:
    """A method in small letters is another method (RFC 9110, 9.1): 405 with the right ones."""
    for answer in doors.ask(method, "/health", [], b""):
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD"
