"""The OpenAPI 3.1 document of the endpoints, made from the `Operation` of each route."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ca_embed._version import __version__
from ca_embed.errors import EmbedError
from ca_embed.http._schemas import RESPONSES

TAG = "ChatArchitect"
_TAG_TEXT = "WhatsApp registration with ChatArchitect, by ca_embed."
_INTRODUCTION = (
    "Here users of this application register their WhatsApp number with ChatArchitect.\n\n"
    "Each GET also answers HEAD. Pages of other allowed origins may send a preflight (OPTIONS) to the "
    "endpoints of sessions. A path or method that is not listed gets 404 `not_found` or 405 "
    "`method_not_allowed`, in the shape of CaEmbedError."
)


class Caller(Enum):
    """Who may call an operation. The value is the name of its security scheme; None: anyone."""

    ANYONE = None
    USER = "CaEmbedUser"
    CHATARCHITECT = "CaEmbedSignature"


SECURITY_SCHEMES: dict[str, dict[str, Any]] = {
    "CaEmbedUser": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "The host application's own sign-in, which its `identify` reads. It is "
        "usually a cookie, whose name is the host's.",
    },
    "CaEmbedSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-CA-Signature",
        "description": "`sha256=` and the HMAC-SHA256, in lower-case hex, of the X-CA-Timestamp, a dot and "
        "the raw body. The key is the partner token.",
    },
}

_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"schema": {"type": "string"}, "description": "Send it as If-None-Match the next time."},
    "Location": {"schema": {"type": "string"}, "description": "The login page of the host application."},
    "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait before the next try."},
}
_HEADERS_OF_ERRORS = {429: ("Retry-After",), 503: ("Retry-After",)}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is not an error.

    schema: the name of its JSON schema, or None if it is not JSON.
    content_type: None: it has no body.
    headers: the names of headers that it has besides those of every response.
    """

    description: str
    schema: str | None = None
    content_type: str | None = "application/json"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What the outside world needs to know about a method of a path.

    name: the operationId; unique.
    answers: the responses that are not errors, by status.
    errors: the classes of all errors that it may answer.
    html_errors: the statuses of errors that a browser gets as a page.
    body: the JSON schema of the request's body.
    """

    name: str
    summary: str
    caller: Caller
    answers: Mapping[int, Answer]
    errors: tuple[type[EmbedError], ...] = ()
    html_errors: tuple[int, ...] = ()
    parameters: tuple[Mapping[str, Any], ...] = ()
    body: Mapping[str, Any] | None = None
    body_required: bool = False
    responses: Mapping[int, dict[str, Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the Response Object of each status."""
        good = {status: _answer(answer) for status, answer in self.answers.items()}
        bad = {error.status for error in self.errors}
        made = good | {status: self._refusal(status) for status in bad}
        object.__setattr__(self, "responses", {status: made[status] for status in sorted(made)})

    def _refusal(self, status: int) -> dict[str, Any]:
        errors = [error for error in self.errors if error.status == status]
        codes = sorted({error.code for error in errors})
        schema = {"$ref": _reference("CaEmbedError"), "properties": {"code": {"enum": codes}}}
        content: dict[str, Any] = {"application/json": {"schema": schema}}
        if status in self.html_errors:
            content["text/html"] = {"schema": {"type": "string"}}
        described = [f"`{error.code}`: {_first_sentences(error)}" for error in errors]
        return {
            "description": "\n\n".join(described),
            **_headers(_HEADERS_OF_ERRORS.get(status, ())),
            "content": content,
        }


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method of a path below the mount, like "/sessions/{registration_id}", and its operation."""

    method: str
    path: str
    operation: Operation


def document(endpoints: Iterable[Endpoint], *, mount: str) -> dict[str, Any]:
    """Return the OpenAPI document. mount: the path of the mount as the outside world sees it."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "ca_embed", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": mount or "/"}],
        "tags": [{"name": TAG, "description": _TAG_TEXT}],
        "paths": paths(endpoints),
        "components": components(),
    }


def components() -> dict[str, Any]:
    """Return the components that `paths` refers to."""
    return {
        "schemas": {name: dict(schema) for name, schema in RESPONSES.items()},
        "securitySchemes": SECURITY_SCHEMES,
    }


def paths(endpoints: Iterable[Endpoint], *, prefix: str = "", suffix: str = "") -> dict[str, Any]:
    """Return the Paths Object. prefix: comes before each path. suffix: comes after each operationId."""
    found: dict[str, Any] = {}
    for one in endpoints:
        item = found.setdefault(prefix + one.path, {})
        item[one.method.lower()] = _operation(one.operation, suffix)
    return found


def parameters_and_body(operation: Operation) -> dict[str, Any]:
    """Return what the Operation Object says of the request, besides its security."""
    said: dict[str, Any] = {}
    if operation.parameters:
        said["parameters"] = [dict(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        content = {"application/json": {"schema": dict(operation.body)}}
        said["requestBody"] = {"required": operation.body_required, "content": content}
    return said


def _operation(operation: Operation, suffix: str) -> dict[str, Any]:
    scheme = operation.caller.value
    return {
        "operationId": operation.name + suffix,
        "summary": operation.summary,
        "tags": [TAG],
        "security": [] if scheme is None else [{scheme: []}],
        **parameters_and_body(operation),
        "responses": {str(status): response for status, response in operation.responses.items()},
    }


def _answer(answer: Answer) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.description, **_headers(answer.headers)}
    if answer.content_type is not None:
        schema = {"type": "string"} if answer.schema is None else {"$ref": _reference(answer.schema)}
        response["content"] = {answer.content_type: {"schema": schema}}
    return response


def _headers(names: Sequence[str]) -> dict[str, Any]:
    return {"headers": {name: {"required": True, **_HEADERS[name]} for name in names}} if names else {}


def _reference(schema: str) -> str:
    return f"#/components/schemas/{schema}"


def _first_sentences(error: type[EmbedError]) -> str:
    """Return the first line of a class's docstring; its code where Python has dropped docstrings (-OO)."""
    return (error.__doc__ or error.code).partition("\n")[0]
