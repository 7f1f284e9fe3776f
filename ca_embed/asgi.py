"""The ASGI door (ASGI 3.0): mount `embed.asgi` under any prefix, or wrap a whole application.

Native, not a wrapped WSGI application: bodies, disconnects and signatures are dealt with on the event
loop, and only what blocks goes to a thread.
"""
# No `from __future__ import annotations`, and no types behind TYPE_CHECKING in the signatures of the
# callables: Litestar resolves their annotations at run time.

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ca_embed._host.calls import identify_later
from ca_embed.errors import BodyTooLarge, EmbedError
from ca_embed.http._endpoints import Exchange
from ca_embed.http._messages import (
    MAX_BODY,
    Blocking,
    Identify,
    ReadBody,
    Request,
    Response,
    Step,
    announced_length,
    checked_body,
    mount_path,
    relative_path,
)

if TYPE_CHECKING:
    from ca_embed.embed import Embed

# Every framework has ASGI types of its own that fit no other's; these fit all.
Scope: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection before its body had arrived; nobody is left to answer."""


class AsgiApp:
    """All endpoints of an Embed, as one ASGI application."""

    def __init__(self, embed: "Embed") -> None:
        """Serve this Embed."""
        self._embed = embed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; take part in lifespan without depending on it; refuse web sockets."""
        if scope["type"] == "lifespan":
            await _lifespan(self._embed, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise ValueError(f"ca_embed does not speak {scope['type']!r}")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _request_from(scope)
        try:
            response = await respond(self._embed, request, partial(_read_body, receive, request))
        except ClientGone:
            return
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers
        ]
        await send(
            {"type": "http.response.start", "status": response.status, "headers": headers, "trailers": False}
        )
        await send({"type": "http.response.body", "body": response.body, "more_body": False})


class Middleware:
    """A whole ASGI application with an Embed under a prefix, for hosts that cannot mount.

    prefix: a path like "/chatarchitect"; by default the path of `public_url`.
    """

    def __init__(self, app: Application, embed: "Embed", prefix: str | None = None) -> None:
        """Give requests below the prefix to the Embed, and all else to the application."""
        self._app = app
        self._embed = embed
        self._prefix = mount_path(embed.settings.public_path if prefix is None else prefix)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan" or not self._is_ours(scope["path"], scope.get("root_path", "")):
            await self._app(scope, receive, send)
            return
        below = {**scope, "root_path": scope.get("root_path", "").rstrip("/") + self._prefix}
        await self._embed.asgi(below, receive, send)

    def _is_ours(self, path: str, root_path: str) -> bool:
        inside = relative_path(path, root_path)
        return inside == self._prefix or inside.startswith(self._prefix + "/")


async def respond(embed: "Embed", request: Request, read_body: Callable[[], Awaitable[bytes]]) -> Response:
    """Answer a request on an event loop; whatever blocks runs in a thread."""
    exchange = Exchange(embed, request)
    step = exchange.begin()
    while not isinstance(step, Response):
        try:
            step = await _take(embed, request, step, read_body)
        except EmbedError as error:
            step = exchange.after_error(step, error)
    return exchange.finish(step)


async def _take(
    embed: "Embed", request: Request, step: Step, read_body: Callable[[], Awaitable[bytes]]
) -> Step:
    match step:
        case ReadBody(then):
            return then(await read_body())
        case Identify(then):
            return then(await identify_later(request.identify or embed.identify, request.native))
        case Blocking(pool, call):
            return await embed.executors.run(pool, call)
        case Response():
            return step


def request_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, bytes], ...]:
    """Turn ASGI's raw headers into those of a `Request`."""
    return tuple((name.decode("latin-1").lower(), bytes(value)) for name, value in headers)


def _request_from(scope: Scope) -> Request:
    return Request(
        method=scope["method"],
        path=relative_path(scope["path"], scope.get("root_path", "")),
        headers=request_headers(scope["headers"]),
        native=scope,
    )


async def _read_body(receive: Receive, request: Request) -> bytes:
    """Read the body, and not a message more than is allowed."""
    announced_length(request)
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise BodyTooLarge("the body is longer than it may be")
    return checked_body(bytes(body), request)


async def _lifespan(embed: "Embed", receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await embed.aclose()
            await send({"type": "lifespan.shutdown.complete"})
            return
