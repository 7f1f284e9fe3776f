"""A local replacement for AWS. It turns requests into the events of a Lambda function URL."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response


def serve(handler: Callable[[Any, Any], Any], port: int) -> None:
    """Call the Lambda handler for each request, one after the other."""

    @Request.application
    def invoke(request: Request) -> Response:
        asyncio.set_event_loop(loop)
        answer = handler(_event(request), SimpleNamespace(function_name="crm"))
        body = answer.get("body") or ""
        response = Response(base64.b64decode(body) if answer["isBase64Encoded"] else body)
        response.status_code = answer["statusCode"]
        response.headers.update(answer["headers"])
        for cookie in answer.get("cookies", []):
            response.headers.add("Set-Cookie", cookie)
        return response

    loop = asyncio.new_event_loop()
    run_simple("127.0.0.1", port, invoke)


def _event(request: Request) -> dict[str, Any]:
    http = {"method": request.method, "path": request.path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode(),
        "headers": {name.lower(): value for name, value in request.headers},
        "requestContext": {"stage": "$default", "http": http},
        "body": base64.b64encode(request.get_data()).decode(),
        "isBase64Encoded": True,
    }
