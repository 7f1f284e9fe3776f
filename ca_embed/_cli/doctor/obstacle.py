"""What answers in place of an endpoint, judged by its response."""

from __future__ import annotations

import re

from ca_embed._cli.doctor.finding import Finding, fail
from ca_embed._cli.doctor.web import Reply

_SIGN_IN = re.compile(r"log-?_?in|sign-?_?in|auth|sso|accounts?/", re.IGNORECASE)

_MOUNT_IT = "Mount ca_embed there, or set public_url to where it is."
_LET_IT_THROUGH = "Exempt the mount from the sign-in: ca_embed calls your identify where it is needed."
_OTHER_PATH = "public_url and the path that ca_embed is mounted under differ: make them the same."
_LET_64_KIB = "Allow bodies of 64 KiB: client_max_body_size in nginx, LimitRequestBody in Apache."
# The advice for error codes of ca_embed itself.
_OWN_ERRORS = {
    "not_found": _OTHER_PATH,
    "method_not_allowed": _OTHER_PATH,
    "storage_unavailable": "Fix the storage of the deployed application; its log says what fails.",
    "unreadable_body": "A server on the way drops request bodies: change its settings for chunked bodies.",
}


def obstacle(check: str, reply: Reply) -> Finding:
    """Return the finding for a response that is not that of the endpoint. It names the URL."""
    message, advice = _judged(reply)
    return fail(check, f"{reply.url}: {message}", advice)


def _judged(reply: Reply) -> tuple[str, str]:
    """Return what happened, and what to do."""
    if 300 <= reply.status < 400:
        return _redirect(reply)
    if advice := _OWN_ERRORS.get(reply.field("code")):
        return f"ca_embed answers {reply.status} {reply.field('code')}", advice
    if reply.status in (400, 403, 419) and b"csrf" in reply.body.lower():
        advice = "Exempt the mount from it: webhooks are signed, and ca_embed checks origins."
        return f"a CSRF protection refuses it ({reply.status})", advice
    if reply.status in (401, 403, 407):
        return f"a login wall or firewall refuses it ({reply.status})", _LET_IT_THROUGH
    if reply.status == 413:
        return "a limit on the length of bodies refuses it (413)", _LET_64_KIB
    if reply.status in (404, 405, 410):
        return f"nothing of ca_embed is mounted there ({reply.status})", _MOUNT_IT
    if reply.status >= 500:
        return f"the server answers {reply.status}", "See its log and that of the proxy."
    return f"another application or a sign-in page answers ({reply.status})", _MOUNT_IT


def _redirect(reply: Reply) -> tuple[str, str]:
    if _SIGN_IN.search(reply.header("Location")):
        return f"a login wall redirects to {reply.target}", _LET_IT_THROUGH
    advice = "ChatArchitect follows no redirect: set public_url to the target, or remove the redirect."
    return f"redirects to {reply.target or 'nowhere'} ({reply.status})", advice
