"""Real HTTP in front of an Embed, in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

from ca_embed import Embed

MOUNT = "/chatarchitect"


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def _not_found(environ: object, start_response: Callable[..., object]) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"the host's own"]


@contextmanager
def threaded(build: Callable[[str], Embed]) -> Iterator[tuple[Embed, str]]:
    """Serve an Embed at its public URL, each request in its own thread."""
    apps = DispatcherMiddleware(_not_found)
    server = make_server("127.0.0.1", 0, apps, threaded=True, request_handler=_Quiet)
    url = f"http://127.0.0.1:{server.port}{MOUNT}"
    embed = build(url)
    apps.mounts[MOUNT] = embed.wsgi
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield embed, url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        embed.close()
