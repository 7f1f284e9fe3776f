"""Which pages may ask, and which may read the response."""

from __future__ import annotations

from typing import Any

import pytest

from ca_embed.sandbox import Sandbox
from tests.doors.clients import Answer
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OTHER_ORIGIN, OWN_ORIGIN, at_sandbox, build

SESSIONS = [("POST", "/sessions"), ("GET", "/sessions/abc")]
CORS = ("access-control-allow-origin", "access-control-allow-credentials")


def readable_by(answer: Answer) -> str | None:
    """Return the origin whose pages may read the response with credentials."""
    assert answer.headers["vary"] == "Origin"
    assert (CORS[0] in answer.headers) == (CORS[1] in answer.headers)
    assert answer.headers.get(CORS[1], "true") == "true"
    return answer.headers.get(CORS[0])


@pytest.mark.parametrize("origin", [OWN_ORIGIN, OTHER_ORIGIN])
@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "cross-site"])
def test_an_allowed_page(client_of: ClientOf, sandbox: Sandbox, origin: str, site: str | None) -> None:
    """A page of an allowed origin may ask and may read the response, also an error, behind any proxy."""
    client = client_of(at_sandbox(sandbox, parent_origins=[OTHER_ORIGIN]))
    headers = {"origin": origin} | ({"sec_fetch_site": site} if site else {})
    created = client.post("/sessions", **headers)
    assert (created.status, readable_by(created)) == (201, origin)
    shown = client.get(f"/sessions/{created.json['registration_id']}", **headers)
    assert (shown.status, readable_by(shown)) == (200, origin)
    for answer in (client.get("/sessions/unknown", **headers), client.post("/sessions", b"[]", **headers)):
        assert answer.status in (404, 400)
        assert readable_by(answer) == origin


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://crm.example"},
        {"origin": "https://crm.example:8443"},
        {"origin": "https://crm.example/"},
        {"origin": "https://crm.example.evil.example"},
        {"origin": "https://CRM.example"},
        {"origin": "https://crm.example, https://crm.example"},
        {"origin": "https://crm.example\xff"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "nonsense"},
        {"origin": "https://evil.example", "sec_fetch_site": "same-origin"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [*SESSIONS, ("OPTIONS", "/sessions"), ("OPTIONS", "/sessions/a")]
)
def test_another_page(
    client_of: ClientOf, sandbox: Sandbox, headers: dict[str, str], method: str, path: str
) -> None:
    """A page of any other origin is refused, and cannot read the refusal. `identify` is not called."""
    asked: list[Any] = []
    client = client_of(at_sandbox(sandbox, identify=asked.append))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.request(method, path, headers=named)
    assert (answer.status, answer.code, readable_by(answer)) == (403, "forbidden_origin", None)
    assert asked == []
    assert sandbox.journal == []


def test_origin_twice(client_of: ClientOf) -> None:
    """Two Origin headers are refused."""
    answer = client_of(build()).request("POST", "/sessions", headers=[("Origin", OWN_ORIGIN)] * 2)
    assert answer.code == "forbidden_origin"


@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_our_own_page(client_of: ClientOf, sandbox: Sandbox, site: str | None) -> None:
    """A request without an Origin is allowed: our own page, other programs and old browsers send none."""
    headers = {"sec_fetch_site": site} if site else {}
    answer = client_of(at_sandbox(sandbox)).post("/sessions", **headers)
    assert (answer.status, readable_by(answer)) == (201, None)


@pytest.mark.parametrize(("path", "method"), [("/sessions", "POST"), ("/sessions/abc", "GET")])
def test_a_preflight(client_of: ClientOf, path: str, method: str) -> None:
    """A preflight of an allowed page is answered with the headers that it asks for. No user is needed."""
    headers = {
        "Origin": OTHER_ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-csrf-token",
    }
    client = client_of(build(parent_origins=[OTHER_ORIGIN], identify=None))
    answer = client.request("OPTIONS", path, headers=headers)
    assert (answer.status, answer.body, readable_by(answer)) == (204, b"", OTHER_ORIGIN)
    assert answer.headers["access-control-allow-methods"] == method
    assert answer.headers["access-control-allow-headers"] == "content-type,x-csrf-token"


@pytest.mark.parametrize("asked", ["", "x\xff", "a b", "a," * 3, "*"])
def test_a_preflight_that_asks_nonsense(client_of: ClientOf, asked: str) -> None:
    """A value that is not a list of header names is not repeated in the response."""
    headers = {
        "Origin": OWN_ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    answer = client_of(build()).request("OPTIONS", "/sessions", headers=headers)
    assert answer.headers["access-control-allow-headers"] == "content-type"


@pytest.mark.parametrize("headers", [{}, {"Origin": OWN_ORIGIN}])
def test_options_that_is_no_preflight(client_of: ClientOf, headers: dict[str, str]) -> None:
    """OPTIONS without a preflight gets 405."""
    answer = client_of(build()).request("OPTIONS", "/sessions", headers=headers)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/webhook", "/health", "/"])
def test_no_other_path_is_for_other_pages(client_of: ClientOf, path: str) -> None:
    """Pages of other origins may read only /sessions. Any page may read the asset, without credentials."""
    client = client_of(build())
    assert CORS[0] not in client.get(path, origin=OWN_ORIGIN).headers
    asset = client.get("/ca-embed.js", origin="https://evil.example").headers
    assert asset[CORS[0]] == "*"
    assert CORS[1] not in asset


def test_a_forged_host(client_of: ClientOf, sandbox: Sandbox) -> None:
    """No header of a request chooses where credentials are delivered."""
    forged = {
        "host": "evil.example",
        "x_forwarded_host": "evil.example",
        "x_forwarded_proto": "http",
        "x_forwarded_prefix": "/evil",
        "forwarded": "host=evil.example",
        "x_original_url": "/evil",
    }
    assert client_of(at_sandbox(sandbox)).post("/sessions", **forged).status == 201
    assert sandbox.sessions[0].webhook_url == "https://crm.example/chatarchitect/webhook"
    assert sandbox.sessions[0].parent_origin == OWN_ORIGIN
