"""Check that requests from outside reach the mount at `public_url`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ca_embed._cli.doctor.delivery import DELIVERY, check_delivery
from ca_embed._cli.doctor.finding import Finding, fail, ok, skip
from ca_embed._cli.doctor.obstacle import obstacle
from ca_embed._cli.doctor.web import Reply, Unreachable, ask
from ca_embed._config import Settings
from ca_embed._version import __version__
from ca_embed.assets._script import javascript

_HEALTH, _ASSET, _WEBHOOK = "mount: health", "mount: asset", "mount: webhook"


def check_mount(settings: Settings, clock: Callable[[], float]) -> Iterator[Finding]:
    """Send the requests of browsers and of ChatArchitect. If the first gets no response, skip the others."""
    public_url = settings.public_url
    try:
        yield _health(ask("GET", f"{public_url}/health"))
    except Unreachable as problem:
        advice = "Check public_url, its DNS entry and certificate; some networks reach it only from outside."
        yield fail(_HEALTH, f"{public_url}: {problem}", advice)
        for check in (_ASSET, _WEBHOOK, DELIVERY):
            yield skip(check, "the mount was not reached")
        return
    asset_url, webhook_url = f"{public_url}/{javascript().hashed_name}", settings.webhook_url
    yield _checked(_ASSET, asset_url, lambda url: _asset(ask("GET", url)))
    webhook = _checked(_WEBHOOK, webhook_url, lambda url: _webhook(_unsigned(url)))
    yield webhook
    if webhook.result == "ok":
        yield _checked(DELIVERY, webhook_url, lambda _: check_delivery(settings, clock))
    else:
        yield skip(DELIVERY, "not sent, because the webhook's URL does not answer as ca_embed")


def _checked(check: str, url: str, make: Callable[[str], Finding]) -> Finding:
    try:
        return make(url)
    except Unreachable as problem:
        message = f"{url}: {problem}, although the mount answered before"
        return fail(check, message, "Run ca-embed doctor again.")


def _health(reply: Reply) -> Finding:
    if reply.status == 200 and reply.field("status") == "ok":
        return ok(_HEALTH, f"{reply.url} answers, and its storage works")
    return obstacle(_HEALTH, reply)


def _asset(reply: Reply) -> Finding:
    """Judge the script. The page has its hash, so a browser refuses other bytes."""
    if reply.field("code") == "not_found":
        advice = f"Deploy ca_embed {__version__}. If it runs there, compare public_url with the mount's path."
        return fail(
            _ASSET, f"{reply.url}: ca_embed answers 404: it has no asset with this release's hash", advice
        )
    if reply.status != 200:
        return obstacle(_ASSET, reply)
    if reply.body != javascript().body:
        advice = "Make the proxy or CDN pass it on unchanged: browsers check its hash."
        return fail(_ASSET, f"{reply.url}: its bytes are not those of this release", advice)
    if not reply.header("Content-Type").lower().startswith("text/javascript"):
        return fail(
            _ASSET, f"{reply.url}: its Content-Type is not text/javascript", "Make the proxy keep it."
        )
    return ok(_ASSET, f"{reply.url} has the right bytes")


def _unsigned(url: str) -> Reply:
    """Send an unsigned webhook. ca_embed refuses it with a code that no other server has."""
    return ask("POST", url, headers={"Content-Type": "application/json"}, data=b"{}")


def _webhook(reply: Reply) -> Finding:
    if reply.status == 401 and reply.field("code") == "invalid_signature":
        return ok(_WEBHOOK, f"{reply.url} is reached, and refuses an unsigned webhook")
    return obstacle(_WEBHOOK, reply)
