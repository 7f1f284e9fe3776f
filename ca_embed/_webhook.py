"""Check that a webhook is authentic, fresh and well formed: bytes in, event out. Pure: no I/O.

The order of the checks matters (guide, "Completion Webhook"). First comes the shape of the two headers,
then the MAC over the raw bytes under every live token, then the replay window, and the body last. So
nothing is parsed that is not signed, and a sender without a token learns only that it was refused.

Every refusal is a `RequestError`. Its `reason` tells the operator which check failed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import unhexlify
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from ca_embed._events import SignedEvent
from ca_embed._registration import Completion, Credentials, PartnerFields
from ca_embed._strict_json import NotStrictJson, parse_object
from ca_embed.errors import InvalidPayload, InvalidSignature, StaleTimestamp

COMPLETED_EVENT = "whatsapp.registration.completed"

_LONGEST_TIMESTAMP = 12  # digits
_PREFIX, _MAC_DIGITS = b"sha256=", 64
_REGISTRATION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_registration_id(text: object) -> TypeGuard[str]:
    """Tell whether this can be a registration id: 1 to 128 of A-Z a-z 0-9 _ -."""
    if not isinstance(text, str):
        return False
    # Almost all ids are letters and digits alone, which is faster to see than with the expression.
    plain = text.isascii() and text.isalnum() and len(text) <= 128
    return plain or _REGISTRATION_ID.fullmatch(text) is not None


def sign(body: bytes, timestamp: int, token: str) -> str:
    """Return the X-CA-Signature of a body, for tests and tools (guide, "Signature formula")."""
    message = b"%d.%b" % (timestamp, body)
    return "sha256=" + hmac.digest(token.encode(), message, "sha256").hex()


def token_id(token: str) -> str:
    """Return a short name for a token, from which the token cannot be found out."""
    return hashlib.sha256(b"ca_embed token id\0" + token.encode()).hexdigest()[:16]


class Authenticated(NamedTuple):
    """What the signature proves: which token signed, and when (Unix seconds)."""

    token_id: str
    signed_at: int


SignedHeaders: TypeAlias = tuple[bytes, bytes]
"""The two headers of a delivery, well formed: the digits of the timestamp, and the MAC."""


class Verifier:
    """Checks the signatures of webhooks against the live partner tokens.

    tokens: the partner tokens. Any of them may have signed.
    window: the replay window in seconds. A timestamp may be that far in the past or in the future.
    """

    def __init__(self, tokens: Sequence[str], window: float) -> None:
        """Prepare one keyed MAC for each token. Copying it is faster than making a new one."""
        self._macs = [(token_id(token), hmac.new(token.encode(), None, "sha256")) for token in tokens]
        self._window = window

    def __repr__(self) -> str:
        """Show no token."""
        return f"<Verifier with {len(self._macs)} tokens>"

    def verify(
        self, body: bytes, timestamps: Sequence[bytes], signatures: Sequence[bytes], now: float
    ) -> Authenticated:
        """Return which token signed the raw body, and when. Raises InvalidSignature or StaleTimestamp.

        timestamps, signatures: all values of X-CA-Timestamp and X-CA-Signature. There must be one of each.
        now: the current time in Unix seconds.
        """
        return self.authenticate(body, read_headers(timestamps, signatures), now)

    def authenticate(self, body: bytes, headers: SignedHeaders, now: float) -> Authenticated:
        """Return which token signed the raw body, and when, given the headers that `read_headers` returned.

        now: the current time in Unix seconds. Raises InvalidSignature or StaleTimestamp.
        """
        timestamp, claimed_mac = headers
        prefix = timestamp + b"."
        signer = None
        # Every token is tried, also after a match, so the time that it takes does not tell which one signed.
        for identity, keyed in self._macs:
            mac = keyed.copy()
            mac.update(prefix)
            mac.update(body)
            # Both are bytes: for text that is not ASCII, compare_digest raises TypeError.
            if hmac.compare_digest(mac.digest(), claimed_mac):
                signer = identity
        if signer is None:
            raise InvalidSignature(
                "no live partner token made this signature; check partner_token", reason="bad_mac"
            )
        signed_at = int(timestamp)
        age = now - signed_at
        if abs(age) > self._window:
            when = "in the past" if age > 0 else "in the future"
            raise StaleTimestamp(
                f"signed {abs(age):.1f} s {when} by this clock; the replay window is {self._window:g} s; "
                "check this machine's clock"
            )
        return Authenticated(signer, signed_at)


def read_headers(timestamps: Sequence[bytes], signatures: Sequence[bytes]) -> SignedHeaders:
    """Return the two headers of a delivery. It needs no body.

    timestamps, signatures: all values of X-CA-Timestamp and X-CA-Signature. There must be one of each.
    Raises InvalidSignature for headers that no signed body can have.
    """
    if len(timestamps) != 1 or len(signatures) != 1:
        which = "X-CA-Timestamp" if len(timestamps) != 1 else "X-CA-Signature"
        raise InvalidSignature(f"{which} is missing or repeated", reason="bad_shape")
    timestamp, signature = timestamps[0], signatures[0]
    # bytes.isdigit() takes ASCII digits only. int() alone would take signs, spaces and other digits too,
    # and a "." in the timestamp would blur where the signed body begins.
    if not timestamp.isdigit() or len(timestamp) > _LONGEST_TIMESTAMP:
        raise InvalidSignature("X-CA-Timestamp is malformed", reason="bad_shape")
    mac = signature[len(_PREFIX) :]
    if not signature.startswith(_PREFIX) or len(mac) != _MAC_DIGITS or mac.strip(b"0123456789abcdef"):
        raise InvalidSignature("X-CA-Signature is malformed", reason="bad_shape")
    return timestamp, unhexlify(mac)


# --- the body ------------------------------------------------------------------------------------


def read_event(
    body: bytes, authenticated: Authenticated, event_id: str | None = None
) -> Completion | SignedEvent:
    """Return the completion or the other event that an authentic body reports.

    event_id: the X-CA-Event-Id, if the delivery has one.
    Raises InvalidPayload, which names the wrong field.
    """
    try:
        fields = parse_object(body)
    except NotStrictJson as problem:
        message = f"The body is not strict JSON: {problem}."
        raise InvalidPayload(message, reason="bad_json") from None
    name, registration_id = _text(fields, "event"), fields.get("registration_id")
    if name != COMPLETED_EVENT:
        return SignedEvent(
            name=name,
            registration_id=registration_id if is_registration_id(registration_id) else None,
            payload=fields,
            event_id=event_id,
            signed_at=authenticated.signed_at,
            token_id=authenticated.token_id,
        )
    if not is_registration_id(registration_id):
        raise InvalidPayload("registration_id must be 1 to 128 of A-Z a-z 0-9 _ -.")
    completed_at = _instant(fields, "completed_at")
    if completed_at is None:
        completed_at = datetime.fromtimestamp(authenticated.signed_at, UTC)
    return Completion(
        registration_id=registration_id,
        credentials=_credentials(fields, completed_at),
        signed_at=authenticated.signed_at,
        partner_fields=PartnerFields(
            _optional_text(fields, "partner_user_id"), _optional_text(fields, "partner_state")
        ),
        token_id=authenticated.token_id,
    )


def read_credentials(fields: Mapping[str, Any], *, otherwise_completed_at: datetime) -> Credentials:
    """Return the credentials from the fields that the webhook and the result endpoint share.

    otherwise_completed_at: the time of completion, if the fields have none.
    Raises InvalidPayload, which names the wrong field, never its value.
    """
    return _credentials(fields, _instant(fields, "completed_at") or otherwise_completed_at)


def _credentials(fields: Mapping[str, Any], completed_at: datetime) -> Credentials:
    return Credentials(
        app_id=_text(fields, "app_id"),
        app_secret=_text(fields, "app_secret"),
        phone=_optional_text(fields, "phone"),
        integration=_optional_text(fields, "integration"),
        completed_at=completed_at,
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidPayload(f"{name} must be a non-empty string.")
    return value


def _optional_text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidPayload(f"{name} must be a string.")
    return value


def _instant(fields: Mapping[str, Any], name: str) -> datetime | None:
    text = _optional_text(fields, name)
    return None if text is None else parse_instant(text, name)


def parse_instant(text: str, name: str) -> datetime:
    """Return an ISO 8601 time in UTC. A time without an offset is UTC already. Raises InvalidPayload."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidPayload(f"{name} must be an ISO 8601 time.") from None
