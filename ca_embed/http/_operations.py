"""What each route answers, for the OpenAPI document: see the table of `http/_routes.py`."""

from __future__ import annotations

from typing import Any

from ca_embed import errors
from ca_embed.http._openapi import Answer, Caller, Operation
from ca_embed.http._schemas import ASKED_SESSION, DELIVERY, STEP

_REGISTRATION_ID: dict[str, Any] = {
    "name": "registration_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
}
_DIGEST: dict[str, Any] = {
    "name": "digest",
    "in": "path",
    "required": True,
    "description": "The hash of the bytes, as in the snippet.",
    "schema": {"type": "string"},
}
_KNOWN: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the bytes that the caller has.",
    "schema": {"type": "string"},
}
_ACCEPT: dict[str, Any] = {
    "name": "Accept-Language",
    "in": "header",
    "description": "The languages of the reader.",
    "schema": {"type": "string"},
}
_RETURN_URL: dict[str, Any] = {
    "name": "return_url",
    "in": "query",
    "description": "Where the page leads back to: a path, or a URL of an allowed origin.",
    "schema": {"type": "string"},
}
_TIMESTAMP: dict[str, Any] = {
    "name": "X-CA-Timestamp",
    "in": "header",
    "required": True,
    "description": "When it was signed, in Unix seconds.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,12}$"},
}
_EVENT_ID: dict[str, Any] = {
    "name": "X-CA-Event-Id",
    "in": "header",
    "description": "A label of the attempt, for the log. It is not signed.",
    "schema": {"type": "string"},
}

_UNCHANGED = Answer("The caller has these bytes already.", content_type=None, headers=("ETag",))
_SCRIPT = Answer("The script.", content_type="text/javascript", headers=("ETag",))

PAGE = Operation(
    "get_page",
    "A complete page that runs the registration",
    Caller.USER,
    {
        200: Answer("The page.", content_type="text/html"),
        303: Answer(
            "No one is signed in, a browser asks, and `login_url` is set.",
            content_type="text/html",
            headers=("Location",),
        ),
    },
    (errors.NotSignedIn, errors.StorageUnavailable),
    html_errors=(401,),
    parameters=(_ACCEPT, _RETURN_URL),
)

CREATE_SESSION = Operation(
    "create_session",
    "Open a registration session for the signed-in user",
    Caller.USER,
    {
        200: Answer("The body names an open session of this user: here it is again.", "CaEmbedSession"),
        201: Answer("A new session is open.", "CaEmbedSession"),
    },
    (
        errors.InvalidRequest,
        errors.UnreadableBody,
        errors.NotSignedIn,
        errors.ForbiddenOrigin,
        errors.BodyTooLarge,
        errors.TooManySessions,
        errors.PartnerRejected,
        errors.PartnerUnavailable,
        errors.StorageUnavailable,
        errors.PartnerTimeout,
    ),
    body=ASKED_SESSION,
)

LIST_REGISTRATIONS = Operation(
    "list_sessions",
    "List the registrations of the signed-in user",
    Caller.USER,
    {200: Answer("The newest 20, the newest first, as they are stored.", "CaEmbedRegistrations")},
    (errors.NotSignedIn, errors.ForbiddenOrigin, errors.StorageUnavailable),
)

SHOW_REGISTRATION = Operation(
    "get_session",
    "Tell how far a registration of the signed-in user is",
    Caller.USER,
    {200: Answer("The registration. While it is open, ChatArchitect is asked first.", "CaEmbedRegistration")},
    (errors.NotSignedIn, errors.ForbiddenOrigin, errors.NotFound, errors.StorageUnavailable),
    parameters=(_REGISTRATION_ID,),
)

DISCONNECT = Operation(
    "disconnect",
    "Erase the credentials of a registration of the signed-in user for good, if the host allows it",
    Caller.USER,
    {200: Answer("The registration, whose status is `disconnected` now.", "CaEmbedRegistration")},
    (
        errors.NotSignedIn,
        errors.ForbiddenOrigin,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.StorageUnavailable,
    ),
    parameters=(_REGISTRATION_ID,),
)

NOTE_STEP = Operation(
    "note_step",
    "Note how far the page of the signed-in user has come",
    Caller.USER,
    {204: Answer("It is noted, if it is further than what is stored.", content_type=None)},
    (
        errors.InvalidRequest,
        errors.UnreadableBody,
        errors.NotSignedIn,
        errors.ForbiddenOrigin,
        errors.NotFound,
        errors.BodyTooLarge,
        errors.StorageUnavailable,
    ),
    parameters=(_REGISTRATION_ID,),
    body=STEP,
    body_required=True,
)

WEBHOOK = Operation(
    "deliver_webhook",
    "Receive a signed event of ChatArchitect",
    Caller.CHATARCHITECT,
    {200: Answer("The event is stored, or there is nothing to store.", "CaEmbedAcknowledgement")},
    (
        errors.InvalidPayload,
        errors.UnreadableBody,
        errors.InvalidSignature,
        errors.StaleTimestamp,
        errors.MismatchedSession,
        errors.BodyTooLarge,
        errors.StorageUnavailable,
    ),
    parameters=(_TIMESTAMP, _EVENT_ID),
    body=DELIVERY,
    body_required=True,
)

SCRIPT = Operation(
    "get_script",
    "The script of the element",
    Caller.ANYONE,
    {200: _SCRIPT, 304: _UNCHANGED},
    parameters=(_KNOWN,),
)

HASHED_SCRIPT = Operation(
    "get_hashed_script",
    "The script under a name that holds its hash; its bytes never change",
    Caller.ANYONE,
    {200: _SCRIPT, 304: _UNCHANGED},
    (errors.NotFound,),
    parameters=(_DIGEST, _KNOWN),
)

HEALTH = Operation(
    "get_health",
    "Tell whether the storage can be read and written",
    Caller.ANYONE,
    {200: Answer("It can.", "CaEmbedHealth")},
    (errors.StorageUnavailable,),
)

LIVE = Operation(
    "get_live",
    "Tell that the process answers",
    Caller.ANYONE,
    {200: Answer("It answers.", "CaEmbedHealth")},
)

OPENAPI = Operation(
    "get_openapi",
    "This document",
    Caller.ANYONE,
    {
        200: Answer("An OpenAPI 3.1 document.", "CaEmbedOpenApi", headers=("ETag",)),
        304: _UNCHANGED,
    },
    parameters=(_KNOWN,),
)
