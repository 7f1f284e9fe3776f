"""Signed deliveries, and requests that carry them, for benchmarks."""

from __future__ import annotations

import itertools
import json
from io import BytesIO
from typing import Any

from ca_embed._webhook import sign

TOKENS = ["a-partner-token-for-benchmarks-1", "a-partner-token-for-benchmarks-2"]
KEY = "an-encryption-key-for-benchmarks"
PUBLIC_URL = "http://localhost:8000/chatarchitect"
BASE_URL = "http://localhost:9000"
NOW = 1_780_000_000

_numbers = itertools.count(1)


def new_id() -> str:
    """Return a registration id that has not been used yet. They spread as random ones do."""
    number = next(_numbers)
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:06x}"


def body_of(size: int, registration_id: str | None = None) -> bytes:
    """Return the body of a webhook of about that many bytes."""
    fields = {
        "event": "whatsapp.registration.completed",
        "registration_id": registration_id or new_id(),
        "partner_user_id": "user_456",
        "partner_state": "opaque",
        "app_id": "ca_app_123",
        "app_secret": "not a secret",
        "phone": "421233221242",
        "integration": "My CRM",
        "completed_at": "2026-07-04T10:00:00+00:00",
    }
    padding = max(0, size - len(json.dumps(fields)) - 14)
    return json.dumps({**fields, "padding": "x" * padding}).encode()


def environ_of(body: bytes, *, signature: str | None = None, path: str = "/webhook") -> dict[str, Any]:
    """Return the WSGI environ of a delivery, with the headers that a server and a proxy send along."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/chatarchitect",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "localhost:8000",
        "HTTP_USER_AGENT": "ChatArchitect",
        "HTTP_ACCEPT": "*/*",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
        "HTTP_X_CA_EVENT_ID": "evt_123",
        "HTTP_X_CA_TIMESTAMP": str(NOW),
        "HTTP_X_CA_SIGNATURE": signature or sign(body, NOW, TOKENS[0]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def scope_of(body: bytes, *, signature: str | None = None, path: str = "/webhook") -> dict[str, Any]:
    """Return the ASGI scope of a delivery."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/chatarchitect" + path,
        "raw_path": ("/chatarchitect" + path).encode(),
        "root_path": "/chatarchitect",
        "query_string": b"",
        "server": ("localhost", 8000),
        "client": ("127.0.0.1", 40000),
        "headers": [
            (b"host", b"localhost:8000"),
            (b"user-agent", b"ChatArchitect"),
            (b"accept", b"*/*"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-forwarded-for", b"192.0.2.1"),
            (b"x-ca-event-id", b"evt_123"),
            (b"x-ca-timestamp", str(NOW).encode()),
            (b"x-ca-signature", (signature or sign(body, NOW, TOKENS[0])).encode()),
        ],
    }
