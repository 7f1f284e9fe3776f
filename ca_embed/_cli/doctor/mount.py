"""Whether the mount is where `public_url` says, and the outside gets there through all that is in front."""

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
    """Ask as browsers and ChatArchitect do. If nobody answers at all, the first question is the last."""
    public_url = settings.public_url
    try:
        yield _health(ask("GET", f"{public_url}/health"))
    except Unreachable as problem:
        advice = "Check public_url, its DNS entry and certificate; some networks reach it only from outside."
        yield fail(_HEALTH, f"{public_url}: {problem}", advice)
        for check in (_ASSET, _WEBHOOK, DELIVERY):
            yield skip(check, "the mount was not reached")
        return
    yield _asked(_ASSET, lambda: _asset(ask("GET", f"{public_url}/{javascript().hashed_name}")))
    webhook = _asked(_WEBHOOK, lambda: _webhook(_unsigned(settings.webhook_url)))
    yield webhook
    if webhook.result == "ok":
        yield _asked(DELIVERY, lambda: check_delivery(settings, clock))
    else:
        yield skip(DELIVERY, "nothing signed goes to what is not the webhook")


def _asked(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Unreachable as problem:
        return fail(check, f"{problem}, although the mount answered before", "Try again.")


def _health(reply: Reply) -> Finding:
    if reply.status == 200 and reply.field("status") == "ok":
        return ok(_HEALTH, f"{reply.url} answers, and its storage works")
    return obstacle(_HEALTH, reply)


def _asset(reply: Reply) -> Finding:
    """The page names the bytes by their hash, so that a browser refuses any others."""
    if reply.field("code") == "not_found":
        advice = (
            f"Is ca_embed {__version__} what runs there? If so, compare public_url with the mount's path."
        )
        return fail(_ASSET, "ca_embed answers 404: it has no asset with this release's hash", advice)
    if reply.status != 200:
        return obstacle(_ASSET, reply)
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
    return obstacle(_WEBHOOK, reply)
