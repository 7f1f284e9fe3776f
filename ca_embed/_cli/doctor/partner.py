"""Check that the Partner API answers, accepts the tokens, and has the same time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ca_embed._cli.doctor.finding import Finding, fail, ok, skip, warn
from ca_embed._cli.doctor.web import NOISE, Reply, Unreachable, ask
from ca_embed._partner.client import PartnerClient
from ca_embed.errors import PartnerError, PartnerRejected

if TYPE_CHECKING:
    from ca_embed._config import Settings

MAX_SKEW = 60.0  # seconds; the rest of the replay window is for slow deliveries
_API, _CLOCK = "Partner API", "clock"
_TRY_AGAIN = "Try again in a moment. If it stays, ask ChatArchitect."


def check_partner(settings: Settings, clock: Callable[[], float]) -> Iterator[Finding]:
    """Call the API without a token first, so that no other server gets one. Then try each token."""
    url = f"{settings.base_url}/partner?action=result&registration_id={_unknown_id()}"
    try:
        reply = ask("GET", url)
    except Unreachable as problem:
        yield fail(
            _API, f"{settings.base_url}: {problem}", "Check base_url, and this machine's network and proxy."
        )
        yield skip(_CLOCK, "the Partner API was not reached")
        yield from _no_tokens(settings.tokens)
        return
    now = clock()
    yield _reached(settings.base_url, reply)
    yield _clock(reply, now, settings.replay_window)
    yield from _tokens(settings) if reply.status == 401 else _no_tokens(settings.tokens)


def _reached(base_url: str, reply: Reply) -> Finding:
    if reply.status == 401:
        return ok(_API, f"{base_url} answers, and asks for a token")
    answered = f"redirects to {reply.target}" if reply.target else f"answers {reply.status}"
    advice = _TRY_AGAIN if reply.status >= 500 else "Check base_url."
    return fail(_API, f"{base_url} {answered}, where the Partner API asks for a token (401)", advice)


def _clock(reply: Reply, now: float, window: float) -> Finding:
    if reply.date is None:
        return skip(_CLOCK, "the Partner API sends no readable Date")
    skew = now - reply.date
    difference = f"is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the Partner API's"
    if abs(skew) <= NOISE:
        return ok(_CLOCK, "this machine's clock agrees with the Partner API's")
    if window / 2 < abs(skew) <= min(MAX_SKEW, window):
        left = f"that leaves webhooks {window - abs(skew):.0f} s of the replay_window of {window:g} s"
        advice = "Set the clock by NTP, or give a longer replay_window: it is 300 s by default."
        return warn(_CLOCK, f"this machine's clock {difference}; {left}", advice)
    if abs(skew) <= min(MAX_SKEW, window):
        return ok(_CLOCK, f"this machine's clock {difference}, which is close enough")
    message = f"this machine's clock {difference}: webhooks are refused as stale, or soon will be"
    return fail(_CLOCK, message, "Set it by NTP.")


def _tokens(settings: Settings) -> Iterator[Finding]:
    for place, token in enumerate(settings.tokens):
        with PartnerClient(settings.base_url, token, ask_deadline=5.0) as client:
            yield _token(f"partner_token[{place}]", client, settings.base_url)


def _token(check: str, client: PartnerClient, base_url: str) -> Finding:
    """Ask for an unknown registration. With a right token the response is 404."""
    try:
        client.result(_unknown_id())
    except PartnerRejected as error:
        if error.partner_status == 404:
            return ok(check, "is accepted")
        if error.partner_status in (401, 403):
            advice = "Use the token that ChatArchitect gave you for this base_url; remove a retired one."
            return fail(check, f"is refused by {base_url} ({error.partner_status})", advice)
        return fail(check, f"{base_url}: {error}", _TRY_AGAIN)
    except PartnerError as error:
        return fail(check, f"{base_url}: {error}", _TRY_AGAIN)
    message = f"{base_url} knows a made-up registration, so it is not the Partner API"
    return fail(check, message, "Check base_url.")


def _no_tokens(tokens: Sequence[str]) -> Iterator[Finding]:
    for place, _ in enumerate(tokens):
        yield skip(f"partner_token[{place}]", "the Partner API was not reached")


def _unknown_id() -> str:
    """Return a random id in ChatArchitect's form, which is looked up and not refused as malformed."""
    return secrets.token_hex(11)
