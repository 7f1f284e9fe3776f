"""Whether the mount is where `public_url` says, and the outside gets there through all that is in front."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ca_embed._version import __version__
from ca_embed.asset import javascript
from ca_embed.cli.doctor.finding import Finding, fail, left_out, ok
from ca_embed.cli.doctor.web import Reply, Unreachable, ask

_HEALTH, _ASSET, _WEBHOOK = "mount: health", "mount: asset", "mount: webhook"

_SIGN_IN = re.compile(r"log-?_?in|sign-?_?in|auth|sso|accounts?/", re.IGNORECASE)

_MOUNT_IT = "Mount ca_embed there, or set public_url to where it is."
_LET_IT_THROUGH = "Exempt the mount from what asks for a sign-in: ca_embed asks your identify where it must."
_OTHER_PATH = "public_url and the path that ca_embed is mounted under differ: make them the same."
# What an error of ca_embed itself says about the way there.
_OWN_ERRORS = {
    "not_found": _OTHER_PATH,
    "method_not_allowed": _OTHER_PATH,
    "storage_unavailable": "Where the mount runs, the storage fails: see the application's log.",
    "unreadable_body": "A server on the way drops request bodies: see its settings for chunked bodies.",
}


def check_mount(public_url: str) -> Iterator[Finding]:
    """Ask as browsers and ChatArchitect do. If nobody answers at all, the first question is the last."""
    try:
        yield _health(ask("GET", f"{public_url}/health"))
    except Unreachable as problem:
        advice = "Check public_url, its DNS entry and certificate; some networks reach it only from outside."
        yield fail(_HEALTH, f"{public_url}: {problem}", advice)
        for check in (_ASSET, _WEBHOOK):
            yield left_out(check, "the mount was not reached")
        return
    yield _asked(_ASSET, lambda: _asset(ask("GET", f"{public_url}/{javascript().hashed_name}")))
    yield _asked(_WEBHOOK, lambda: _webhook(_unsigned(f"{public_url}/webhook")))


def _asked(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Unreachable as problem:
        return fail(check, f"{problem}, although the mount answered before", "Try again.")


def _health(reply: Reply) -> Finding:
    if reply.status == 200 and reply.field("status") == "ok":
        return ok(_HEALTH, f"{reply.url} answers, and its storage works")
    return _something_else(_HEALTH, reply)


def _asset(reply: Reply) -> Finding:
    """The page names the bytes by their hash, so that a browser refuses any others."""
    if reply.field("code") == "not_found":
        advice = (
            f"Is ca_embed {__version__} what runs there? If so, compare public_url with the mount's path."
        )
        return fail(_ASSET, "ca_embed answers 404: it has no asset with this release's hash", advice)
    if reply.status != 200:
        return _something_else(_ASSET, reply)
    if reply.body != javascript().body:
        advice = "Have the proxy or CDN pass it on unchanged: browsers check its integrity."
        return fail(_ASSET, "its bytes are not those of this release", advice)
    if not reply.header("Content-Type").lower().startswith("text/javascript"):
        return fail(_ASSET, "it does not come as text/javascript", "Have the proxy keep its Content-Type.")
    return ok(_ASSET, f"{reply.url} has the right bytes")


def _unsigned(url: str) -> Reply:
    """Deliver what must be refused, and by nobody but ca_embed."""
    return ask("POST", url, headers={"Content-Type": "application/json"}, data=b"{}")


def _webhook(reply: Reply) -> Finding:
    if reply.status == 401 and reply.field("code") == "invalid_signature":
        return ok(_WEBHOOK, f"{reply.url} is reached, and refuses what is not signed")
    return _something_else(_WEBHOOK, reply)


def _something_else(check: str, reply: Reply) -> Finding:
    """Tell by its answer what stands where the mount should be."""
    if 300 <= reply.status < 400:
        return _redirect(check, reply)
    if advice := _OWN_ERRORS.get(reply.field("code")):
        return fail(check, f"ca_embed answers {reply.status} {reply.field('code')}", advice)
    if reply.status in (400, 403, 419) and b"csrf" in reply.body.lower():
        advice = "Exempt the mount from it: webhooks are signed, and the page's calls are checked by origin."
        return fail(check, f"a CSRF protection refuses it ({reply.status})", advice)
    if reply.status in (401, 403, 407):
        return fail(check, f"a login wall or firewall refuses it ({reply.status})", _LET_IT_THROUGH)
    if reply.status in (404, 405, 410):
        return fail(check, f"nothing of ca_embed is mounted there ({reply.status})", _MOUNT_IT)
    if reply.status >= 500:
        return fail(check, f"the server answers {reply.status}", "See its log, and that of the proxy.")
    return fail(check, f"another application, or a page to sign in, answers ({reply.status})", _MOUNT_IT)


def _redirect(check: str, reply: Reply) -> Finding:
    if _SIGN_IN.search(reply.header("Location")):
        return fail(check, f"a login wall redirects to {reply.target}", _LET_IT_THROUGH)
    advice = "ChatArchitect follows no redirect: set public_url to the place itself, or let it answer here."
    return fail(check, f"redirects to {reply.target or 'nowhere'} ({reply.status})", advice)
