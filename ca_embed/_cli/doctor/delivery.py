"""Check that a signed webhook arrives unchanged: the deployed token, its clock, and the proxies."""

from __future__ import annotations

from collections.abc import Callable

from ca_embed._cli.doctor.finding import Finding, fail, ok
from ca_embed._cli.doctor.obstacle import obstacle
from ca_embed._cli.doctor.web import NOISE, Reply, ask
from ca_embed._config import Settings
from ca_embed._webhook import sign

DELIVERY = "mount: delivery"

# The type is unknown, so the endpoint answers 200 and changes nothing. The spaces and the two forms of é
# change if a proxy reads the JSON and writes it again.
_EVENT = '{"event":"ca_embed.doctor",  "note":"\\u00e9 is é"}'.encode()

_CHECK_SIGNATURE = (
    "See its log: with bad_shape, a proxy drops or repeats X-CA-... headers; with bad_mac, other partner "
    "tokens are deployed, or a proxy changes bodies. Fix that."
)
_SET_CLOCKS = 'Set both clocks by NTP; the check "clock" above shows whether this machine\'s is right.'


def check_delivery(settings: Settings, clock: Callable[[], float]) -> Finding:
    """Send a webhook as ChatArchitect does, signed with the newest token. Raises Unreachable."""
    timestamp = int(clock())
    headers = {
        "Content-Type": "application/json",
        "X-CA-Event-Id": "evt_doctor_1",
        "X-CA-Timestamp": str(timestamp),
        "X-CA-Signature": sign(_EVENT, timestamp, settings.tokens[0]),
    }
    reply = ask("POST", settings.webhook_url, headers=headers, data=_EVENT)
    return _finding(reply, clock())


def _finding(reply: Reply, now: float) -> Finding:
    if reply.status == 200 and reply.field("status") == "ignored":
        return ok(DELIVERY, "a webhook signed with partner_token[0] arrives unchanged and in time")
    match reply.field("code"):
        case "invalid_signature":
            message = f"{reply.url}: 401 invalid_signature for a webhook signed with partner_token[0]"
            return fail(DELIVERY, message, _CHECK_SIGNATURE)
        case "stale_timestamp":
            message = f"{reply.url}: ca_embed answers 401 stale_timestamp: {_skew(reply, now)}"
            return fail(DELIVERY, message, _SET_CLOCKS)
    return obstacle(DELIVERY, reply)


def _skew(reply: Reply, now: float) -> str:
    skew = 0 if reply.date is None else now - reply.date
    if abs(skew) <= NOISE:  # no difference to see: a proxy may have written the Date
        return "its clock differs from this machine's; its response does not tell by how much"
    return f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
