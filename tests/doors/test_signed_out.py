"""The hosted page for a visitor who is not signed in."""

from __future__ import annotations

import pytest

from ca_embed.errors import ConfigurationError
from tests.doors.fixtures import ClientOf
from tests.flow.kit import build

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def signed_out(_request: object) -> None:
    """Sign no one in."""


@pytest.mark.parametrize("url", ["/login", "/login?next=/chatarchitect/", "https://login.example/in"])
def test_login_url(client_of: ClientOf, url: str) -> None:
    """A browser is sent to `login_url`; a program still gets the JSON 401."""
    client = client_of(build(identify=signed_out, login_url=url))
    sent = client.get("/", **BROWSER)
    assert (sent.status, sent.headers["location"], sent.body) == (303, url, b"")
    assert sent.headers["cache-control"] == "no-store"
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        answer = client.get("/", **headers)
        assert (answer.status, answer.json["code"]) == (401, "not_signed_in")


def test_without_login_url(client_of: ClientOf) -> None:
    """Without `login_url` a browser gets a page in the reader's language, with status 401 and no script."""
    client = client_of(build(identify=signed_out))
    for language, said in (("de-AT", "Melden Sie sich zuerst an"), ("tlh", "Sign in first")):
        answer = client.get("/", **BROWSER, accept_language=language)
        assert answer.status == 401
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert said in answer.body.decode()
        assert "<script" not in answer.body.decode()
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")


def test_other_endpoints(client_of: ClientOf) -> None:
    """Only the hosted page is a page: the others answer JSON also to a browser."""
    client = client_of(build(identify=signed_out, login_url="/login"))
    assert client.get("/sessions/abc", **BROWSER).json["code"] == "not_signed_in"
    assert client.post("/sessions", b"{}", **BROWSER).json["code"] == "not_signed_in"


@pytest.mark.parametrize(
    "url",
    [
        "login",
        "//evil.example",
        "http://login.example",
        "javascript:alert(1)",
        "/a\r\nb",
        "/\\evil.example",
        "/é",
        7,
    ],
)
def test_wrong_login_url(url: object) -> None:
    """A `login_url` that is no path and no https URL is refused when the Embed is built."""
    with pytest.raises(ConfigurationError, match="login_url"):
        build(login_url=url)
