"""The entries of the endpoints in FastAPI's OpenAPI document, made from ca_embed's own description."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Response, Security
from fastapi.security import APIKeyCookie, APIKeyHeader
from pydantic import BaseModel

from ca_embed.http._openapi import SECURITY_SCHEMES, Caller, Operation, parameters_and_body
from ca_embed.http._schemas import RESPONSES

_USER, _SIGNATURE = (SECURITY_SCHEMES[caller.value or ""] for caller in (Caller.USER, Caller.CHATARCHITECT))
# These only add a security scheme to the document. They read a cookie or header, and refuse nothing.
_SCHEMES: dict[Caller, Any] = {
    Caller.USER: APIKeyCookie(
        name=_USER["name"],
        scheme_name=Caller.USER.value,
        description=_USER["description"],
        auto_error=False,
    ),
    Caller.CHATARCHITECT: APIKeyHeader(
        name=_SIGNATURE["name"],
        scheme_name=Caller.CHATARCHITECT.value,
        description=_SIGNATURE["description"],
        auto_error=False,
    ),
}


def entry(operation: Operation, *, dependency: bool) -> dict[str, Any]:
    """Return the arguments of `add_api_route` that describe an operation.

    dependency: a dependency of the host finds the user. FastAPI then describes what it needs.
    """
    scheme = None if dependency and operation.caller is Caller.USER else _SCHEMES.get(operation.caller)
    good = min(operation.answers)
    return {
        "name": f"chatarchitect_{operation.name}",
        "summary": operation.summary,
        "status_code": good,
        "response_model": None,  # the core makes the responses
        "response_class": Response,
        "response_description": operation.answers[good].description,
        "responses": {status: _with_model(response) for status, response in operation.responses.items()},
        "openapi_extra": parameters_and_body(operation),
        "dependencies": [] if scheme is None else [Security(scheme)],
    }


def _with_model(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response with the model whose schema it refers to: FastAPI lists the schemas of models."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" not in schema:
        return dict(response)
    return {**response, "model": _model(schema["$ref"].rpartition("/")[2])}


@cache
def _model(name: str) -> type[BaseModel]:
    """Return a model of this name that has no other use than its schema."""

    def schema_of(_cls: type[BaseModel], _core_schema: Any, _handler: Any) -> dict[str, Any]:
        return dict(RESPONSES[name])

    return type(
        name,
        (BaseModel,),
        {"__module__": __name__, "__get_pydantic_json_schema__": classmethod(schema_of)},
    )
