"""Responses whose bytes a caller may have already (RFC 9110, 13.1.2)."""

from __future__ import annotations

from werkzeug.http import parse_etags, quote_etag

from ca_embed.http._messages import Headers, Request, Response


def revalidated(request: Request, headers: Headers, body: bytes, digest: str) -> Response:
    """Return 200 with the body, or 304 if the request names its ETag.

    digest: a hash of the body.
    """
    headers = [*headers, ("ETag", quote_etag(digest))]
    if parse_etags(request.text("if-none-match")).contains_weak(digest):
        return Response(304, headers, b"")
    return Response(200, headers, body)
