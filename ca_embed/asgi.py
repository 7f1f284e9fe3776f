"""The ASGI application and middleware (ASGI 3.0): mount `embed.asgi`, or wrap a whole application.

It does not wrap the WSGI application: bodies, disconnects and signatures are handled on the event loop, and
only calls that block go to a thread.
"""
# No `from __future__ import annotations`, and no types behind TYPE_CHECKING in the signatures of the
# callables: Litestar resolves their annotations at run time.

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

from ca_embed._core import HasCore
from ca_embed._host.threads import Pool
from ca_embed.http import Request, arespond, read_chunks, relative_path
from ca_embed.http._body import ClientGone
from ca_embed.http._gateways import without_compression
from ca_embed.http._paths import path_at_app, prefixes_below, public_root, require_mount_prefix

__all__ = ["Middleware"]

# Every framework has ASGI types of its own, which fit no other's. These fit all.
_Scope: TypeAlias = Any
_Receive: TypeAlias = Callable[[], Awaitable[Any]]
_Send: TypeAlias = Callable[[Any], Awaitable[None]]
_Application: TypeAlias = Callable[[Any, _Receive, _Send], Awaitable[None]]


class AsgiApp:
    """All endpoints of an Embed, as one ASGI application."""

    def __init__(self, embed: HasCore) -> None:
        """Serve this Embed."""
        self._embed = embed
        self._public_root = public_root(embed)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer one request; take part in lifespan without depending on it; refuse web sockets."""
        if scope["type"] == "lifespan":
            await _lifespan(self._embed, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise ValueError(f"ca_embed does not speak {scope['type']!r}")

    async def _answer(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        path = path_at_app(scope["path"], scope.get("root_path", ""), self._public_root)
        request = _request(scope, path)
        try:
            response = await arespond(
                self._embed, request, lambda: read_chunks(_body_chunks(receive), request)
            )
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

    prefix: a path like "/chatarchitect"; by default the path of `public_url`, without `root_path`.
    """

    def __init__(self, app: _Application, embed: HasCore, prefix: str | None = None) -> None:
        """Give requests below the prefix to the Embed, and all others to the application.

        Raises ConfigurationError for a prefix that is not a path.
        """
        self._app = app
        self._endpoints = AsgiApp(embed)
        self._prefix = require_mount_prefix(embed, prefix)
        self._is_public = prefix is None

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer one request, or pass it on."""
        root_path = scope.get("root_path", "")
        prefix = None if scope["type"] == "lifespan" else self._prefix_of(scope["path"], root_path)
        if prefix is None:
            await self._app(scope, receive, send)
            return
        await self._endpoints({**scope, "root_path": root_path.rstrip("/") + prefix}, receive, send)

    def _prefix_of(self, path: str, root_path: str) -> str | None:
        """Return the prefix, inside the host, that the path is below; None if the path is the host's."""
        inside = relative_path(path, root_path)
        prefixes = prefixes_below(self._prefix, root_path if self._is_public else "")
        return next((one for one in prefixes if inside == one or inside.startswith(one + "/")), None)


def _request(scope: _Scope, path: str) -> Request:
    request = Request(
        method=scope["method"],
        path=path,
        headers=tuple((name.decode("latin-1").lower(), bytes(value)) for name, value in scope["headers"]),
        native=scope,
        query=scope.get("query_string", b"").decode("latin-1"),
    )
    return without_compression(request)


async def _body_chunks(receive: _Receive) -> AsyncIterator[bytes]:
    """Yield the body, message by message. Raises ClientGone."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _lifespan(embed: HasCore, receive: _Receive, send: _Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await embed._core.threads.run(Pool.STORAGE, embed._core.close)
            await send({"type": "lifespan.shutdown.complete"})
            return
