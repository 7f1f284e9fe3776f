"""Responses that are the same for everyone, revalidated by their ETag (RFC 9110, 8.8.3)."""

from __future__ import annotations

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header, parse_etags, quote_etag

from ca_embed.http._messages import Headers, Request, Response


def revalidated(
    request: Request, headers: Headers, body: bytes, digest: str, gzipped: bytes | None = None
) -> Response:
    """Return 200 with the body, or 304 if the request names its ETag.

    digest: a hash of the body.
    gzipped: the compressed body, for clients that take it. None: it is always sent plain.
    """
    compressed = gzipped is not None and _takes_gzip(request)
    # Two bodies of one URL must not share an ETag.
    etag = digest + "-gzip" if compressed else digest
    headers = [*headers, ("ETag", quote_etag(etag))]
    if gzipped is not None:
        headers.append(("Vary", "Accept-Encoding"))
    if parse_etags(request.text("if-none-match")).contains_weak(etag):
        return Response(304, headers, b"")
    if gzipped is not None and compressed:
        return Response(200, [*headers, ("Content-Encoding", "gzip")], gzipped)
    return Response(200, headers, body)


def _takes_gzip(request: Request) -> bool:
    """Tell whether the client takes gzip, and likes it no less than the plain bytes."""
    accepted = parse_accept_header(request.text("accept-encoding"), Accept)
    return 0 < accepted.quality("gzip") >= accepted.quality("identity")
