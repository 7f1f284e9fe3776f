"""A host application in a process of its own. Prints its port. Settings: CA_EMBED_... in the environment."""

from __future__ import annotations

import sys

from werkzeug.serving import WSGIRequestHandler, make_server

from ca_embed import Embed


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 (werkzeug's)
        """Log nothing."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, Embed.from_env().wsgi, threaded=True, request_handler=_Quiet)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
