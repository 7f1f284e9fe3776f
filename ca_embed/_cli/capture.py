"""A captured webhook: a request in a file, or a body and its two headers."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from http.client import HTTPException, parse_headers
from io import BytesIO
from pathlib import Path

from ca_embed._cli.output import WrongUsage

_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/[0-9.]+\r?\n")


@dataclass(frozen=True, slots=True)
class Capture:
    """A captured webhook. body: the raw bytes. timestamps, signatures: all values of the two headers."""

    body: bytes = field(repr=False)
    timestamps: tuple[bytes, ...]
    signatures: tuple[bytes, ...]


def read_file(name: str) -> bytes:
    """Return the bytes of a file; "-" is stdin."""
    return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()


def read_http(raw: bytes) -> Capture:
    """Read header lines, a blank line and the body. A request line may stand first. Raises WrongUsage."""
    stream = BytesIO(raw[found.end() :] if (found := _REQUEST_LINE.match(raw)) else raw)
    try:
        headers = parse_headers(stream)
    except HTTPException:
        raise WrongUsage(
            "the capture has no readable header lines; give them, a blank line, and the body"
        ) from None
    return Capture(
        body=_cut_to_length(stream.read(), headers.get("Content-Length", "")),
        timestamps=tuple(value.encode("latin-1") for value in headers.get_all("X-CA-Timestamp", ())),
        signatures=tuple(value.encode("latin-1") for value in headers.get_all("X-CA-Signature", ())),
    )


def _cut_to_length(body: bytes, content_length: str) -> bytes:
    """Return the body without bytes that the capturing tool added. Raises WrongUsage if bytes are missing."""
    if not content_length.isdecimal():
        return body
    length = int(content_length)
    if len(body) < length:
        raise WrongUsage(
            f"the capture is cut off: Content-Length is {length}, but {len(body)} bytes follow; capture again"
        )
    return body[:length]
