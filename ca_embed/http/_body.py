"""Reading a request's body: at most 64 KiB, exactly as long as announced.

Each reader stops at the limit, so a long body costs no memory. The drivers call `checked_body` for every
body, also for one that an adapter has read in its own way.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import IO

from ca_embed.errors import BodyTooLarge, UnreadableBody
from ca_embed.http._messages import Request

MAX_BODY = 64 * 1024  # bytes


class ClientGone(Exception):
    """The client closed the connection before its body had arrived. There is no one to answer."""


def read_stream(stream: IO[bytes], request: Request, kept: Callable[[], bytes] = bytes) -> bytes:
    """Read the body from a stream that ends where the body ends, as the `wsgi.input` of most servers does.

    kept: returns the body if another part of the host has read the stream already and kept it.
    Raises UnreadableBody, BodyTooLarge.
    """
    announced_length(request)
    chunks, missing = [], MAX_BODY + 1
    try:
        while missing and (chunk := stream.read(missing)):
            chunks.append(chunk)
            missing -= len(chunk)
    except Exception:  # noqa: BLE001 (each server raises its own error for a body that breaks off)
        raise _broken_off() from None
    return checked_body(b"".join(chunks) or kept(), request)


def read_exactly(stream: IO[bytes], length: int, request: Request) -> bytes:
    """Read the body from a stream that may not end where the body ends. Raises UnreadableBody.

    length: as announced; not more than may be read.
    """
    try:
        body = stream.read(length)
        while len(body) < length and (chunk := stream.read(length - len(body))):
            body += chunk
    except Exception:  # noqa: BLE001 (each server raises its own error for a body that breaks off)
        raise _broken_off() from None
    return checked_body(body, request)


async def read_chunks(chunks: AsyncIterable[bytes], request: Request) -> bytes:
    """Read the body from an asynchronous iterable of its chunks. Raises UnreadableBody, BodyTooLarge."""
    announced_length(request)
    body = bytearray()
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY:
                break
    except ClientGone:
        raise
    except Exception:  # noqa: BLE001 (each framework raises its own error for a body that breaks off)
        raise _broken_off() from None
    return checked_body(bytes(body), request)


def announced_length(request: Request) -> int | None:
    """Return the Content-Length, or None without one. Raises UnreadableBody, BodyTooLarge."""
    lengths = request.all("content-length")
    if not lengths or lengths == [b""]:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise UnreadableBody("Content-Length is not one number.")
    length = int(lengths[0])
    if length > MAX_BODY:
        raise BodyTooLarge(f"Content-Length announces {length} bytes")
    return length


def checked_body(body: bytes, request: Request) -> bytes:
    """Return the body if its length is what was announced. Raises UnreadableBody, BodyTooLarge."""
    length = announced_length(request)
    if len(body) > MAX_BODY:
        raise BodyTooLarge("the body is longer than it may be")
    if length is not None and len(body) != length:
        raise UnreadableBody(f"Content-Length announced {length} bytes, {len(body)} arrived.")
    # Some hosts drop a chunked body and hand on an empty one.
    if not body and "chunked" in request.text("transfer-encoding").lower():
        raise UnreadableBody(
            "The body was sent chunked, and the server in front of the application dropped it. Have the "
            "proxy send a Content-Length, or use a server that passes chunked bodies on."
        )
    return body


def _broken_off() -> UnreadableBody:
    return UnreadableBody("The body ended before all of it had arrived.")
