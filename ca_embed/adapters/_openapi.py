"""The entries of the endpoints in FastAPI's OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ca_embed._registration import PAGE_STEPS


class OpenedSession(BaseModel):
    """A new registration session, for the page that asked for it."""

    registration_id: str
    iframe_url: str
    iframe_origin: str
    expires_at: str
    status: str


class RegistrationStatus(BaseModel):
    """The status of a registration."""

    registration_id: str
    status: str
    expires_at: str | None
    phone: str | None
    completed_at: str | None


class Registrations(BaseModel):
    """The registrations of one user, at most 20."""

    registrations: list[RegistrationStatus]


class Delivery(BaseModel):
    """The result of a webhook: "accepted", "duplicate" or "ignored"."""

    status: str


class Problem(BaseModel):
    """An error, for programs (`code`) and for people (`message`)."""

    status: str
    code: str
    message: str


def _described(
    name: str, summary: str, good: int, model: type[BaseModel] | None, *problems: int
) -> dict[str, Any]:
    documented = {good: {"model": model}} if model else {}
    return {
        "name": f"chatarchitect_{name}",
        "summary": summary,
        "status_code": good,
        "response_model": None,  # the core makes the responses
        "responses": {
            **documented,
            **{status: {"model": Problem} for status in problems},
        },
    }


_ASKED = {
    "type": "object",
    "properties": {
        "lang": {"type": "string", "example": "es"},
        "registration_id": {"type": "string", "description": "an open session to continue"},
    },
}

OPEN = {
    **_described(
        "open_session",
        "Open a registration session for the signed-in user",
        201,
        OpenedSession,
        *(400, 401, 403, 413, 502, 503, 504),
    ),
    "openapi_extra": {"requestBody": {"content": {"application/json": {"schema": _ASKED}}}},
}
LIST = _described(
    "registrations",
    "Return the registrations of the signed-in user, the newest first",
    200,
    Registrations,
    *(401, 403, 503),
)
READ = _described(
    "registration",
    "Return the status of a registration of the signed-in user",
    200,
    RegistrationStatus,
    401,
    403,
    404,
    503,
)
_STEP = {"type": "object", "properties": {"step": {"enum": list(PAGE_STEPS)}}, "required": ["step"]}

STEP = {
    **_described(
        "step",
        "Note how far the page of the signed-in user has come",
        204,
        None,
        *(400, 401, 403, 404, 413, 503),
    ),
    "openapi_extra": {"requestBody": {"content": {"application/json": {"schema": _STEP}}, "required": True}},
}
DELIVER = _described(
    "webhook", "Receive a signed webhook of ChatArchitect", 200, Delivery, 400, 401, 409, 413, 503
)
