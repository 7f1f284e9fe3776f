"""What the gateways of AWS Lambda cannot carry."""

from __future__ import annotations

from ca_embed.http._messages import Request

# Where the two libraries for Lambda put the event: Mangum in the scope, apig-wsgi in the environ.
_EVENTS = ("aws.event", "apig_wsgi.full_event")


def without_compression(request: Request) -> Request:
    """Return the request; from a REST API of AWS, without the wish for a compressed body.

    A REST API hands compressed bodies on as base64 text, unless its owner has set `binaryMediaTypes`.
    """
    if not isinstance(request.native, dict):
        return request
    event = next((request.native[name] for name in _EVENTS if name in request.native), None)
    if not isinstance(event, dict) or event.get("version") == "2.0":
        return request
    if "elb" in (event.get("requestContext") or {}):  # a load balancer
        return request
    return request.without_header("accept-encoding")
