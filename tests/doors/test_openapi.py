"""`GET /openapi.json`, and that it says what the routes do. `described.py` holds every other test to it."""

from __future__ import annotations

import re

import pytest
from jsonschema import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from ca_embed import errors
from ca_embed.http import _routes
from ca_embed.http._openapi import document
from ca_embed.http._routes import endpoints
from tests.doors.described import check_described
from tests.doors.fixtures import ClientOf
from tests.flow.kit import build

# The HTTP table of the interface: each operation with its statuses and, of errors, the codes.
TABLE = {
    "GET /": {200: set(), 303: set(), 401: {"not_signed_in"}, 503: {"storage_unavailable"}},
    "GET /sessions": {
        200: set(),
        401: {"not_signed_in"},
        403: {"forbidden_origin"},
        503: {"storage_unavailable"},
    },
    "POST /sessions/{registration_id}/step": {
        204: set(),
        400: {"invalid_request", "unreadable_body"},
        401: {"not_signed_in"},
        403: {"forbidden_origin"},
        404: {"not_found"},
        413: {"body_too_large"},
        503: {"storage_unavailable"},
    },
    "POST /sessions": {
        200: set(),
        201: set(),
        400: {"invalid_request", "unreadable_body"},
        401: {"not_signed_in"},
        403: {"forbidden_origin"},
        413: {"body_too_large"},
        429: {"too_many_sessions"},
        502: {"partner_unavailable", "partner_rejected"},
        503: {"storage_unavailable"},
        504: {"partner_timeout"},
    },
    "GET /sessions/{registration_id}": {
        200: set(),
        401: {"not_signed_in"},
        403: {"forbidden_origin"},
        404: {"not_found"},
        503: {"storage_unavailable"},
    },
    "DELETE /sessions/{registration_id}": {
        200: set(),
        401: {"not_signed_in"},
        403: {"forbidden_origin"},
        404: {"not_found"},
        405: {"method_not_allowed"},
        503: {"storage_unavailable"},
    },
    "POST /webhook": {
        200: set(),
        400: {"invalid_payload", "unreadable_body"},
        401: {"invalid_signature", "stale_timestamp"},
        409: {"mismatched_session"},
        413: {"body_too_large"},
        503: {"storage_unavailable"},
    },
    "GET /ca-embed.js": {200: set(), 304: set()},
    "GET /ca-embed.{digest}.js": {200: set(), 304: set(), 404: {"not_found"}},
    "GET /health": {200: set(), 503: {"storage_unavailable"}},
    "GET /live": {200: set()},
    "GET /openapi.json": {200: set(), 304: set()},
}


def test_the_table() -> None:
    """The document has the routes, methods, statuses and error codes of the table, and no others."""
    shown = {}
    for path, item in document(endpoints(), mount="/m")["paths"].items():
        for method, operation in item.items():
            shown[f"{method.upper()} {path}"] = {
                int(status): set(re.findall(r"^`(\w+)`:", response["description"], re.MULTILINE))
                for status, response in operation["responses"].items()
            }
            for response in operation["responses"].values():
                schema = response.get("content", {}).get("application/json", {}).get("schema", {})
                codes = schema.get("properties", {}).get("code", {}).get("enum", [])
                assert set(codes) == set(re.findall(r"^`(\w+)`:", response["description"], re.MULTILINE))
    assert shown == TABLE


def test_no_route_is_left_out() -> None:
    """Each route but the preflights and the operator's page has an operation with a name of its own."""
    left_out = {
        (rule.rule, *(rule.methods or ()))
        for rule in _routes._ROUTES.iter_rules()
        if rule.endpoint.operation is None
    }
    shown = "/sessions/<registration_id>"
    staff = {("/staff", "GET", "HEAD"), ("/staff", "POST"), ("/staff/<registration_id>", "GET", "HEAD")}
    preflights = {(path, "OPTIONS") for path in ("/sessions", shown, shown + "/step")}
    assert {(path, *sorted(methods)) for path, *methods in left_out} == preflights | staff
    names = [one.operation.name for one in endpoints()]
    assert len(set(names)) == len(names) == len(TABLE)


def test_all_codes_are_listed() -> None:
    """Each code of an error that a request can meet is in the document."""
    classes = [one for one in vars(errors).values() if isinstance(one, type)]
    bases = (errors.RequestError, errors.PartnerError, errors.StorageUnavailable)
    known = {one.code for one in classes if issubclass(one, bases)} - {errors.EmbedError.code}
    listed = {code for answers in TABLE.values() for codes in answers.values() for code in codes}
    assert known == listed


def test_it_is_openapi() -> None:
    """The document is valid OpenAPI 3.1, also at the root of a host."""
    for mount in ("", "/a/b"):
        OpenAPIV31SpecValidator(document(endpoints(), mount=mount)).validate()


@pytest.mark.parametrize(
    ("public_url", "server"),
    [("https://crm.example/a/chatarchitect", "/a/chatarchitect"), ("https://crm.example", "/")],
)
def test_it_is_served(client_of: ClientOf, public_url: str, server: str) -> None:
    """Anyone reads the document, from any origin. Its server is the mount, by its path alone."""
    client = client_of(build(public_url=public_url, identify=None))
    answer = client.get("/openapi.json", host="evil.example", origin="https://tool.example")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json["openapi"] == "3.1.0"
    assert answer.json["servers"] == [{"url": server}]
    assert set(answer.json["paths"]) == {operation.split()[1] for operation in TABLE}


def test_it_is_revalidated(client_of: ClientOf) -> None:
    """The document has an ETag, and 304 answers it."""
    client = client_of(build())
    first = client.get("/openapi.json")
    again = client.get("/openapi.json", if_none_match=first.headers["etag"])
    assert (again.status, again.headers["etag"], again.body) == (304, first.headers["etag"], b"")
    assert first.headers["cache-control"] == "no-cache"


def test_it_holds_no_setting(client_of: ClientOf) -> None:
    """The document tells nothing of the settings but the path of the mount."""
    token, key = "fake-partner-token-openapi", "fake-encryption-key-openapi"
    embed = build(partner_token=token, encryption_keys=key, base_url="https://registration.example")
    text = client_of(embed).get("/openapi.json").body.decode()
    for told in (token, key, "registration.example", "crm.example"):
        assert told not in text


BAD = b'{"status": "error", "code": "bad_code", "message": "m"}'
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "status", "headers", "body"),
    [
        ("GET", "/live", 200, JSON, b'{"status": "ok", "more": 1}'),
        ("GET", "/live", 200, JSON, b'{"status": "fine"}'),
        ("GET", "/live", 200, {"content-type": "text/plain"}, b'{"status": "ok"}'),
        ("GET", "/live", 503, JSON, BAD),
        ("GET", "/health", 503, JSON, b'{"status": "error", "code": "storage_unavailable", "message": "m"}'),
        ("POST", "/webhook", 401, JSON, BAD),
        ("POST", "/webhook", 500, JSON, BAD),
        ("POST", "/webhook", 404, JSON, BAD),
        ("GET", "/nowhere", 200, JSON, BAD),
        ("GET", "/nowhere", 404, JSON, BAD),
    ],
)
def test_what_is_not_described_is_found(
    method: str, path: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    """The check that every door test makes fails for a response that the document does not have."""
    with pytest.raises((AssertionError, ValidationError)):
        check_described(method, path, status, headers, body)
