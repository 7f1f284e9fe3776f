"""The host application that real servers serve: an Embed by its environment variables, and a handler."""

from __future__ import annotations

import os
from typing import Any

from ca_embed import Credentials, Embed, Registration, asgi, wsgi

embed = Embed.from_env(identify=lambda native: "user_456", session_limit=None)


@embed.on_completed(name="note")
def note(registration: Registration, credentials: Credentials) -> None:
    """Append a line to a file, in one write."""
    file = os.open(os.environ["HANDLED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{registration.registration_id}\n".encode())
    os.close(file)


def host_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """The rest of the host."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "4")])
    return [b"host"]


async def host_asgi(scope: Any, receive: Any, send: Any) -> None:
    """The rest of the host, which does not support lifespan."""
    if scope["type"] != "http":
        raise ValueError
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"host"})


wsgi_app = wsgi.Middleware(host_wsgi, embed)
asgi_app = asgi.Middleware(host_asgi, embed)
