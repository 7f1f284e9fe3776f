"""An HTTP server on a socket, in a thread."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

logger = logging.getLogger(__name__)

_ALL_INTERFACES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)


class Server:
    """Listens at once. The application comes later, because it must know the address."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._host = host
        self.port: int = self._socket.getsockname()[1]

    @property
    def base_url(self) -> str:
        """The address for a browser on this machine."""
        host = _ALL_INTERFACES.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def serve(self, app: Any) -> None:
        """Serve the application in the background, each request in its own thread."""
        self._server = make_server(
            self._host,
            self.port,
            app,
            threaded=True,
            request_handler=_QuietHandler,
            fd=self._socket.fileno(),
        )
        self._socket.close()  # the server has its own duplicate of the descriptor
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="ca_embed sandbox", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server and wait for its thread."""
        self._server.shutdown()
        self._thread.join()


class _QuietHandler(WSGIRequestHandler):
    """Logs to this module's logger, and no requests: the journal has those."""

    timeout = 30  # seconds; a client that sends nothing must not hold a thread for ever

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002, ARG002 (werkzeug's)
        logger.debug(message, *args)
