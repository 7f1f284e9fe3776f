"""The sandbox's WSGI application. It routes each path to the part that answers it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from ca_embed.sandbox import _inputs as inputs
from ca_embed.sandbox._inputs import Refusal
from ca_embed.sandbox._responses import error_response
from ca_embed.sandbox._sessions import UnknownSession

if TYPE_CHECKING:
    from ca_embed.sandbox._control import Control
    from ca_embed.sandbox._journal import Journal
    from ca_embed.sandbox._pages import Pages
    from ca_embed.sandbox._partner_api import PartnerApi

logger = logging.getLogger(__name__)

Endpoint = Callable[..., Response]


class SandboxRequest(Request):
    """A request whose body has a limit and is read once. A failed read is not repeated."""

    max_content_length = inputs.BODY_LIMIT
    body_read = b""

    def read_body(self) -> None:
        """Read the body. Raises HTTPException if it is too long or shorter than announced."""
        self.body_read = self.get_data()


class App:
    """Answers every request. Errors have the guide's error shape."""

    def __init__(self, partner_api: PartnerApi, pages: Pages, control: Control, journal: Journal) -> None:
        self._partner_api = partner_api
        self._journal = journal
        rules: Iterable[tuple[str, Endpoint]] = (
            ("/partner", self._partner_call),
            ("/partner-moved", self._redirected_partner_call),
            *pages.rules(),
            *control.rules(),
        )
        self._routes = Map([Rule(path, endpoint=endpoint) for path, endpoint in rules], merge_slashes=False)

    def __call__(self, environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answer one request, as a WSGI application."""
        request = SandboxRequest(environ)
        response = self._guarded(self._routed, request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response(environ, start_response)  # type: ignore[arg-type]  # typeshed asks for more

    def _routed(self, request: SandboxRequest) -> Response:
        endpoint: Endpoint
        endpoint, arguments = self._routes.bind_to_environ(request.environ).match()
        return endpoint(request, **arguments)

    def _partner_call(self, request: SandboxRequest) -> Response:
        return self._journaled(request, self._guarded(self._read_and_answer, request))

    def _read_and_answer(self, request: SandboxRequest) -> Response:
        request.read_body()
        return self._partner_api.answer(request)

    def _redirected_partner_call(self, request: SandboxRequest) -> Response:
        """Note in the journal that a client followed the knob's redirect, and with which headers."""
        return self._journaled(request, self._guarded(self._read_and_refuse, request))

    def _read_and_refuse(self, request: SandboxRequest) -> Response:
        request.read_body()
        raise Refusal(404, "Not found")

    def _journaled(self, request: SandboxRequest, response: Response) -> Response:
        self._journal.add(
            "call",
            request.method,
            request.full_path.rstrip("?"),
            request_headers=request.headers.items(),
            request_body=request.body_read,
            response_status=response.status_code,
            response_headers=response.headers.items(),
            response_body=response.get_data(),
        )
        return response

    def _guarded(self, endpoint: Callable[[SandboxRequest], Response], request: SandboxRequest) -> Response:
        """Call the endpoint, and turn every exception into a response of the guide's error shape."""
        try:
            return endpoint(request)
        except Refusal as refusal:
            return error_response(refusal.status, refusal.message)
        except UnknownSession:
            return error_response(404, "Session not found")
        except HTTPException as problem:
            return _http_error(problem)
        except Exception:
            logger.exception("the sandbox failed to answer %s %s", request.method, request.path)
            return error_response(500, "Server-side failure")


def _http_error(problem: HTTPException) -> Response:
    """Translate an error of werkzeug into the statuses of the guide's table."""
    if problem.code == 404:
        return error_response(404, "Not found")
    if problem.code == 413:
        return error_response(400, f"Invalid request body: longer than {inputs.BODY_LIMIT} bytes")
    return error_response(400, "Invalid request")
