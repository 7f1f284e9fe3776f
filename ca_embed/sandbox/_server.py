"""A listening socket, and a thread that serves an application on it."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

logger = logging.getLogger(__name__)

_ALL_INTERFACES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)


class Server:
    """Listens from the start, so that its address is known before the application is built."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._host = host
        self.port: int = self._socket.getsockname()[1]

    @property
    def base_url(self) -> str:
        """The address that a browser on this machine can open."""
        host = _ALL_INTERFACES.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def serve(self, app: Any) -> None:
        """Answer requests in the background, each in a thread of its own."""
        self._server = make_server(
            self._host,
            self.port,
            app,
            threaded=True,
            request_handler=_QuietHandler,
            fd=self._socket.fileno(),
        )
        self._socket.close()  # the server works on a duplicate
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="ca_embed sandbox", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()


class _QuietHandler(WSGIRequestHandler):
    """Logs to `ca_embed.sandbox`, and leaves the requests to the journal."""

    timeout = 30  # seconds; somebody who sends nothing does not hold a thread

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002 (werkzeug's)
        logger.debug(message, *args)
