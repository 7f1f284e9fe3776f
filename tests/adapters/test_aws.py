"""AWS Lambda, behind a gateway that turns requests into events as AWS does, and answers back."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

from apig_wsgi import make_lambda_handler
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

from ca_embed import wsgi
from ca_embed.adapters.aws import lambda_handler
from ca_embed.testing import AdapterContract, Site, serve_wsgi
from tests.adapters.programs import EXAMPLES

Event = dict[str, Any]


def function_url_event(request: Request) -> Event:
    """Return payload format 2.0, of function URLs and HTTP APIs: repeated headers are joined."""
    headers = {name.lower(): ",".join(values) for name, values in _buffered(request).items()}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode(),
        "cookies": headers.pop("cookie", "").split("; "),
        "headers": headers,
        "requestContext": {
            "stage": "$default",
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "",
            },
        },
        "body": base64.b64encode(request.get_data()).decode(),
        "isBase64Encoded": True,
    }


def rest_api_event(request: Request) -> Event:
    """Return payload format 1.0, of REST APIs: all values of a header, and the last one."""
    values = _buffered(request)
    return {
        "version": "1.0",
        "resource": "/{proxy+}",
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: given[-1] for name, given in values.items()},
        "multiValueHeaders": values,
        "queryStringParameters": request.args.to_dict() or None,
        "multiValueQueryStringParameters": dict(request.args.lists()) or None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "127.0.0.1"}, "path": request.path},
        "body": base64.b64encode(request.get_data()).decode(),
        "isBase64Encoded": True,
    }


def _buffered(request: Request) -> dict[str, list[str]]:
    """Return the headers of a request whose body has been read to its end."""
    values = {name: request.headers.getlist(name) for name, _ in request.headers}
    if values.pop("Transfer-Encoding", None):
        values["Content-Length"] = [str(len(request.get_data()))]
    return values


class Relayed(Response):
    """What the function answered, without a header more or less."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: Any) -> Headers:
        return self.headers


def gateway(
    cold_start: Callable[[], Callable[[Event, Any], Event]], to_event: Callable[[Request], Event]
) -> Any:
    """Return a WSGI application that makes a Lambda instance for each request, and invokes it."""
    context = SimpleNamespace(function_name="host", aws_request_id="1")

    @Request.application
    def invoke(request: Request) -> Response:
        with closing(asyncio.new_event_loop()) as loop:
            asyncio.set_event_loop(loop)
            answer = cold_start()(to_event(request), context)
            asyncio.set_event_loop(None)
        body = answer.get("body") or ""
        return Relayed(
            [base64.b64decode(body) if answer.get("isBase64Encoded") else body.encode()],
            answer["statusCode"],
            _headers(answer),
        )

    return invoke


def _headers(answer: Event) -> list[tuple[str, str]]:
    several = answer.get("multiValueHeaders") or {}
    once = {name: [value] for name, value in (answer.get("headers") or {}).items()}
    return [(name, value) for name, values in (once | several).items() for value in values]


class MangumContract(AdapterContract):
    buffers_bodies = True
    to_event: Any

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        cold_start = partial(lambda_handler, site.embed, prefix=site.below + site.prefix)
        with serve_wsgi(gateway(cold_start, type(self).to_event), site.listener):
            yield

    def user_of(self, request: Any) -> str | None:
        return {name.lower(): value for name, value in request["aws.event"]["headers"].items()}.get("x-user")


class TestLambdaFunctionURL(MangumContract):
    program, program_app = EXAMPLES / "aws_app.py", "handler"

    to_event = staticmethod(function_url_event)


class TestLambdaRestAPI(MangumContract):
    carries_compressed = False

    to_event = staticmethod(rest_api_event)


class TestLambdaWSGI(AdapterContract):
    buffers_bodies = True
    to_event: Any = staticmethod(function_url_event)

    @contextmanager
    def serve(self, site: Site) -> Iterator[None]:
        app = wsgi.Middleware(NotFound(), site.embed, site.below + site.prefix)
        with serve_wsgi(gateway(partial(make_lambda_handler, app), type(self).to_event), site.listener):
            yield

    def user_of(self, request: Any) -> str | None:
        return request.get("HTTP_X_USER")


class TestLambdaWSGIRestAPI(TestLambdaWSGI):
    carries_compressed = False
    to_event = staticmethod(rest_api_event)
