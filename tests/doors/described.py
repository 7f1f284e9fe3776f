"""Holds each response at a door to the OpenAPI document."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from ca_embed.http._openapi import Endpoint, document
from ca_embed.http._routes import endpoints

UNLISTED = {404: "not_found", 405: "method_not_allowed"}


def check_described(method: str, path: str, status: int, headers: dict[str, str], body: bytes) -> None:
    """Fail if the document does not have this response. `headers` have names in lower case."""
    if method == "OPTIONS" and status == 204:
        return  # a preflight: the document leaves them out
    if path == "/staff" or path.startswith("/staff/"):
        return  # so does it the operator's page
    endpoint = _endpoint("GET" if method == "HEAD" else method, path)
    if endpoint is None or status not in endpoint.operation.responses:
        assert status in UNLISTED | _errors_of_preflight(method), f"{method} {path}: {status}"
        if method != "HEAD":
            assert json.loads(body)["code"] in {UNLISTED.get(status), "forbidden_origin"}
        assert endpoint is None or status == 405, f"{method} {path} gives {status}, not in the document"
        return
    response = endpoint.operation.responses[status]
    for name in response.get("headers", {}):
        assert name.lower() in headers, f"{status} of {method} {path} has no {name}"
    content = response.get("content", {})
    if not content:
        assert body == b""
        return
    kind = headers["content-type"].partition(";")[0]
    assert kind in content, f"{status} of {method} {path} is {kind}"
    if kind == "application/json" and method != "HEAD":
        _validator(endpoint.operation.name, status).validate(json.loads(body))


def _errors_of_preflight(method: str) -> dict[int, str]:
    return {403: "forbidden_origin"} if method == "OPTIONS" else {}


def _endpoint(method: str, path: str) -> Endpoint | None:
    asked = path.removesuffix("/") or "/"
    fitting = [one for one in endpoints() if one.method == method and _pattern(one.path).fullmatch(asked)]
    return fitting[0] if fitting else None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)))


@cache
def _validator(name: str, status: int) -> Draft202012Validator:
    """Return a validator that also refuses fields that the document does not name."""
    (response,) = [one.operation.responses[status] for one in endpoints() if one.operation.name == name]
    components = copy.deepcopy(document(endpoints(), mount="")["components"])
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    schema: dict[str, Any] = {**response["content"]["application/json"]["schema"], "components": components}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
