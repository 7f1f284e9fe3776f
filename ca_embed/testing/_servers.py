"""Real servers for tests, in a thread of the test process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from socket import socket
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_TIMEOUT = 20.0  # seconds for a server to start, and to stop


@contextmanager
def serve_wsgi(app: WSGIApplication, listener: socket, below: str = "") -> Iterator[None]:
    """Serve a WSGI application with werkzeug inside the block. Each request has its own thread.

    listener: a listening socket. below: the application's SCRIPT_NAME, "" or like "/outer".
    """
    mounted = DispatcherMiddleware(NotFound(), {below: app}) if below else app
    host, port = listener.getsockname()
    server = make_server(host, port, mounted, threaded=True, request_handler=_Quiet, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(_TIMEOUT)
        server.server_close()


@contextmanager
def serve_asgi(app: Any, listener: socket, below: str = "") -> Iterator[None]:
    """Serve an ASGI application with uvicorn inside the block. uvicorn must be installed.

    app: the ASGI application. listener: a listening socket. below: the application's root_path, "" or
    like "/outer". It is a part of `scope["path"]`, as ASGI asks.
    """
    import uvicorn

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await app(scope if scope["type"] == "lifespan" else {**scope, "root_path": below}, receive, send)

    config = uvicorn.Config(mounted if below else app, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_TIMEOUT)


@contextmanager
def serve_on_loop(host: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[None]:
    """Enter an asynchronous context manager on a new event loop, and leave it after the block.

    host: returns the context manager. It starts a server when it is entered, and stops it when it is left.
    """
    started: Future[Callable[[], object]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with host():
            started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
            await stop.wait()

    def run_in_thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 (the waiting test gets it)
            if not started.done():
                started.set_exception(error)

    thread = threading.Thread(target=run_in_thread, daemon=True)
    thread.start()
    stop = started.result(_TIMEOUT)
    try:
        yield
    finally:
        stop()
        thread.join(_TIMEOUT)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (werkzeug's)
        """Log nothing: tests look at the responses."""
