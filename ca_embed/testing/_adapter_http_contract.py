"""The part of an adapter's test suite that is about HTTP: what arrives at the core, what leaves it."""

from __future__ import annotations

import gzip
from abc import ABC
from typing import ClassVar

import pytest

from ca_embed.assets._script import javascript
from ca_embed.http import MAX_BODY
from ca_embed.testing._adapter_host import Host
from ca_embed.testing._raw_http import HttpResponse, NoResponse
from ca_embed.testing._webhooks import signed_webhook


class AdapterHttpContract(ABC):  # noqa: B024 (AdapterContract adds the abstract methods)
    """Bodies and headers reach the core unchanged, and its responses reach the client unchanged.

    `AdapterContract` describes the settings, and has the fixture `host`.
    """

    buffers_bodies: ClassVar[bool] = False
    sees_repeated_headers: ClassVar[bool] = True
    writes_zero_length: ClassVar[bool] = False
    carries_compressed: ClassVar[bool] = True

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

    def test_openapi(self, host: Host, nested_host: Host) -> None:
        """The OpenAPI document arrives under each prefix, names it, and is revalidated."""
        for one in (host, nested_host):
            got = one.send("GET", "/openapi.json")
            assert (got.status, got.all("content-type")) == (200, ["application/json"])
            document = got.json()
            assert document["openapi"].startswith("3.1.")
            assert document["servers"] == [{"url": one.path}]
            assert {"/", "/sessions", "/webhook", "/openapi.json"} <= set(document["paths"])
            known = one.send("GET", "/openapi.json", [("If-None-Match", got.all("etag")[0])])
            assert (known.status, known.body) == (304, b"")

    def test_compressed_asset(self, host: Host) -> None:
        """Clients that take gzip get the script compressed, with an ETag of its own; others get it plain."""
        asset = javascript()
        plain = host.send("GET", "/ca-embed.js", [("Accept-Encoding", "gzip;q=0, identity")])
        assert (plain.body, plain.all("content-encoding")) == (asset.body, [])
        if not self.carries_compressed:
            asked = host.send("GET", "/ca-embed.js", [("Accept-Encoding", "gzip")])
            assert (asked.body, asked.all("content-encoding")) == (asset.body, [])
            return
        for path in ("/ca-embed.js", f"/{asset.hashed_name}"):
            taken = [("Accept-Encoding", "gzip, deflate, br")]
            got, head = (host.send(method, path, taken) for method in ("GET", "HEAD"))
            assert (got.status, gzip.decompress(got.body), head.body) == (200, asset.body, b"")
            for response in (got, head):
                assert response.all("content-encoding") == ["gzip"]
                assert set(response.all("content-length")) <= {str(len(got.body))}
                assert "accept-encoding" in response.all("vary")[0].lower()
                assert response.all("etag")[0] not in (plain.all("etag")[0], "")
            known = host.send("GET", path, [*taken, ("If-None-Match", got.all("etag")[0])])
            assert (known.status, known.all("etag"), known.body) == (304, got.all("etag"), b"")

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

    def test_preflight(self, host: Host) -> None:
        """The preflight of an allowed page succeeds, and has each header once."""
        response = _preflight(host)
        assert response.status == 204
        assert response.all("access-control-allow-origin") == [f"http://127.0.0.1:{host.port}"]
        assert response.all("access-control-allow-methods") == ["POST"]


def _with(headers: dict[str, str], name: str, value: bytes) -> list[tuple[str, str | bytes]]:
    return [*((kept, text) for kept, text in headers.items() if kept != name), (name, value)]


def _preflight(host: Host) -> HttpResponse:
    asked = [("Origin", f"http://127.0.0.1:{host.port}"), ("Access-Control-Request-Method", "POST")]
    return host.send("OPTIONS", "/sessions", asked)
