"""The host application that real servers serve: an Embed by its environment variables, and a handler."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from ca_embed import Credentials, Embed, Registration, asgi, wsgi


def identify(native: Any) -> str:
    """One user makes all requests."""
    return "user_456"


async def identify_asynchronously(native: Any) -> str:
    """The same user, found while other requests go on."""
    await asyncio.sleep(0.02)
    return "user_456"


ASYNCHRONOUS = "ASYNCHRONOUS" in os.environ

embed = Embed.from_env(identify=identify_asynchronously if ASYNCHRONOUS else identify, session_limit=None)


def note(registration: Registration, credentials: Credentials) -> None:
    """Append a line to a file, in one write."""
    file = os.open(os.environ["HANDLED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{registration.registration_id}\n".encode())
    os.close(file)


async def note_asynchronously(registration: Registration, credentials: Credentials) -> None:
    """Append it while other requests go on."""
    await asyncio.sleep(0.02)
    note(registration, credentials)


embed.on_completed(note_asynchronously if ASYNCHRONOUS else note, name="note")


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
