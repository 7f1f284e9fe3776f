"""Webhooks as ChatArchitect sends them, for the tests of your application."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime


def signed_webhook(
    token: str,
    *,
    registration_id: str = "registration-0001",
    timestamp: int | str | None = None,
    event_id: str | None = None,
    **fields: object,
) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a completion webhook, signed with the partner token.

    registration_id: needs no session. timestamp: Unix seconds, by default now. event_id: the value of
    X-CA-Event-Id. fields: replace fields of the body, or add them; the value `...` removes a field.
    POST both to `/webhook` below your mount:

        headers, body = signed_webhook(PARTNER_TOKEN, app_id="ca_app_7")
        assert client.post("/chatarchitect/webhook", headers=headers, data=body).status_code == 200
    """
    payload = {
        "event": "whatsapp.registration.completed",
        "registration_id": registration_id,
        "partner_user_id": None,
        "partner_state": None,
        "app_id": "ca_app_123",
        "app_secret": "fake-app-secret",
        "phone": "421233221242",
        "integration": "Partner",
        "completed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **fields,
    }
    body = json.dumps({name: value for name, value in payload.items() if value is not ...}).encode()
    headers = {
        "Content-Type": "application/json",
        "X-CA-Event-Id": event_id or f"evt_{registration_id}_1",
        **signature_headers(token, body, timestamp),
    }
    return headers, body


def signature_headers(token: str, body: bytes, timestamp: int | str | None = None) -> dict[str, str]:
    """Return the two headers that sign this body (guide, "Completion Webhook")."""
    signed_at = str(int(time.time()) if timestamp is None else timestamp)
    mac = hmac.new(token.encode(), signed_at.encode() + b"." + body, hashlib.sha256)
    return {"X-CA-Timestamp": signed_at, "X-CA-Signature": f"sha256={mac.hexdigest()}"}
