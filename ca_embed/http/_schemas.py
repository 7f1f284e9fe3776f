"""What requests and responses hold, as JSON Schema 2020-12, for the OpenAPI document.

The names begin with CaEmbed, because a host's own document may take them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ca_embed._registration import PAGE_STEPS, Status
from ca_embed._webhook import COMPLETED_EVENT

_TEXT = {"type": "string"}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_TIME = {"type": "string", "format": "date-time"}
_OPTIONAL_TIME = {"type": ["string", "null"], "format": "date-time"}
_FILLED_TEXT = {"type": "string", "minLength": 1}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,128}$", "examples": ["abc123def456ghi789jkl0"]}
_STATUS = {
    "type": "string",
    "description": f"One of {', '.join(Status)}, or a word that ChatArchitect has added since.",
    "examples": [Status.STARTED.value],
}


def _object(description: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has all these fields."""
    return {"type": "object", "description": description, "required": [*fields], "properties": fields}


_REGISTRATION = _object(
    "How far a registration is. It never has credentials.",
    {
        "registration_id": _ID,
        "status": _STATUS,
        "expires_at": {**_OPTIONAL_TIME, "description": "Null if no session is stored for it."},
        "phone": {**_OPTIONAL_TEXT, "description": "Null until it is completed."},
        "completed_at": {**_OPTIONAL_TIME, "description": "Null until it is completed."},
    },
)

RESPONSES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "CaEmbedSession": _object(
            "A new session: show `iframe_url` in an iframe.",
            {
                "registration_id": _ID,
                "iframe_url": {"type": "string", "format": "uri"},
                "iframe_origin": {
                    "type": "string",
                    "description": "The origin that messages of the iframe come from.",
                },
                "expires_at": _TIME,
                "status": _STATUS,
            },
        ),
        "CaEmbedRegistration": _REGISTRATION,
        # Not by reference: FastAPI would look for a model of that name.
        "CaEmbedRegistrations": _object(
            "Registrations of one user.", {"registrations": {"type": "array", "items": _REGISTRATION}}
        ),
        "CaEmbedAcknowledgement": _object(
            "`accepted` and `duplicate`: the credentials are on stable storage. `ignored`: the event type is "
            "not known, and nothing was stored.",
            {"status": {"type": "string", "enum": ["accepted", "duplicate", "ignored"]}},
        ),
        "CaEmbedOpenApi": {
            "type": "object",
            "description": "An OpenAPI document.",
            "required": ["openapi", "info", "paths"],
        },
        "CaEmbedHealth": _object("All is well.", {"status": {"const": "ok"}}),
        "CaEmbedError": _object(
            "An error: `code` is for programs, `message` for people.",
            {"status": {"const": "error"}, "code": _TEXT, "message": _FILLED_TEXT},
        ),
    }
)
"""The schemas of JSON responses, by name."""

ASKED_SESSION: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "lang": {
                **_OPTIONAL_TEXT,
                "description": "Any language. One that is not supported becomes its base language, or en.",
                "examples": ["es"],
            },
            "registration_id": {
                **_OPTIONAL_TEXT,
                "description": "An open session of this user, to continue it in another browser.",
            },
        },
    }
)
"""The body of `POST /sessions`. Other fields are ignored."""

STEP: Mapping[str, Any] = MappingProxyType(
    {"type": "object", "required": ["step"], "properties": {"step": {"enum": [*PAGE_STEPS]}}}
)
"""The body of `POST /sessions/<registration_id>/step`. Other fields are ignored."""

_COMPLETION = {
    "required": ["event", "registration_id", "app_id", "app_secret"],
    "properties": {
        "event": {"const": COMPLETED_EVENT},
        "registration_id": _ID,
        "partner_user_id": _OPTIONAL_TEXT,
        "partner_state": _OPTIONAL_TEXT,
        "app_id": _FILLED_TEXT,
        "app_secret": {**_FILLED_TEXT, "format": "password"},
        "phone": _OPTIONAL_TEXT,
        "integration": _OPTIONAL_TEXT,
        "completed_at": {**_OPTIONAL_TIME, "description": "If absent, the X-CA-Timestamp counts."},
    },
}
_OTHER_EVENT = {
    "description": "Any other event. It is ignored, whatever else it holds.",
    "required": ["event"],
    "properties": {"event": {**_FILLED_TEXT, "not": {"const": COMPLETED_EVENT}}},
}

DELIVERY: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "oneOf": [_COMPLETION, _OTHER_EVENT],
        "examples": [
            {
                "event": COMPLETED_EVENT,
                "registration_id": "abc123def456ghi789jkl0",
                "partner_user_id": "user_456",
                "partner_state": "opaque-state-value",
                "app_id": "ca_app_123",
                "app_secret": "secret_value",
                "phone": "421233221242",
                "integration": "My CRM",
                "completed_at": "2026-07-04T10:00:00+00:00",
            }
        ],
    }
)
"""The body of `POST /webhook`. Other fields are ignored."""
