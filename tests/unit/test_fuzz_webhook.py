"""Any delivery is read, or refused in one of the three documented ways."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ca_embed._events import SignedEvent
from ca_embed._registration import Completion, receive
from ca_embed._vault import document
from ca_embed._webhook import COMPLETED_EVENT, Authenticated, Verifier, read_event, sign, token_id
from ca_embed.errors import InvalidPayload, InvalidSignature, StaleTimestamp

TOKENS = ["fake-partner-token-0123456789", "another-fake-token-0123456789"]
NOW, WINDOW = 1_783_159_200, 300
VERIFIER = Verifier(TOKENS, WINDOW)
SIGNER = Authenticated("0123456789abcdef", NOW)

bounded = settings(max_examples=300, deadline=None, derandomize=True, database=None)

headers = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.from_regex(rb"[0-9]{1,13}", fullmatch=True),
        st.from_regex(rb"sha256=[0-9a-f]{62,66}", fullmatch=True),
        st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    max_size=2,
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PAYLOAD = {
    "event": COMPLETED_EVENT,
    "registration_id": "abc123def456ghi789jkl0",
    "partner_user_id": "user_456",
    "partner_state": "opaque",
    "app_id": "ca_app_123",
    "app_secret": "fake-secret-value",
    "phone": "421233221242",
    "integration": "My CRM",
    "completed_at": "2026-07-04T10:00:00+00:00",
}
changes = st.dictionaries(
    st.sampled_from([*PAYLOAD, "unknown"]),
    json_values | st.datetimes().map(str) | st.just("0001-01-01T00:00:00+23:59"),
    max_size=2,
)
bodies = changes.map(lambda changed: json.dumps(PAYLOAD | changed).encode())
timestamps_around_now = st.integers(NOW - WINDOW - 2, NOW + WINDOW + 2)


@bounded
@given(st.binary(max_size=200), headers, headers, st.floats(0, 4e9))
def test_strangers_are_refused(
    body: bytes, timestamps: list[bytes], signatures: list[bytes], now: float
) -> None:
    """A sender without a token never passes the signature check, and cannot cause another error."""
    with pytest.raises(InvalidSignature) as refusal:
        VERIFIER.verify(body, timestamps, signatures, now)
    assert refusal.value.reason in ("bad_shape", "bad_mac")


@bounded
@given(
    st.binary(max_size=200), timestamps_around_now | st.integers(0, 999_999_999_999), st.sampled_from(TOKENS)
)
def test_a_right_signature_is_authentic_within_the_window(body: bytes, timestamp: int, token: str) -> None:
    """With a right signature, any content is authentic within the window, and stale outside of it."""
    headers = [b"%d" % timestamp], [sign(body, timestamp, token).encode()]
    if abs(timestamp - NOW) <= WINDOW:
        assert VERIFIER.verify(body, *headers, NOW) == Authenticated(token_id(token), timestamp)
    else:
        with pytest.raises(StaleTimestamp):
            VERIFIER.verify(body, *headers, NOW)


@bounded
@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_no_byte_may_change(body: bytes, place: int, difference: int) -> None:
    """A delivery with one changed byte is refused."""
    message = bytearray(b"%d.%b" % (NOW, body))
    message[place % len(message)] ^= difference
    timestamp, _, changed = bytes(message).partition(b".")
    with pytest.raises(InvalidSignature):
        VERIFIER.verify(changed, [timestamp], [sign(body, NOW, TOKENS[0]).encode()], NOW)


@bounded
@given(st.binary(max_size=300) | bodies)
def test_any_authentic_body_is_read_or_refused(body: bytes) -> None:
    """An authentic body gives a completion, another event, or InvalidPayload.

    What was read can be stored and shown.
    """
    found: Completion | SignedEvent | None = None
    try:
        found = read_event(body, SIGNER)
    except InvalidPayload as problem:
        event("refused")
        shown = f"{problem.reason} {problem}"
    else:
        event(type(found).__name__)
        shown = repr(found)
    assert "fake-secret" not in shown
    if isinstance(found, Completion):
        assert_fit_to_store(found)
    elif found is not None:
        state = receive(found, now=0.0, handlers=("hear",), claim=None)
        assert document.from_bytes(document.to_bytes(state)) == state


def assert_fit_to_store(completion: Completion) -> None:
    """Check that each part of a completion can be stored."""
    credentials, echo = completion.credentials, completion.partner_fields
    assert echo is not None
    texts = (credentials.app_id, credentials.app_secret, credentials.phone, credentials.integration, *echo)
    assert all(text is None or isinstance(text.encode(), bytes) for text in texts)
    assert credentials.app_id
    assert credentials.app_secret
    assert credentials.completed_at.tzinfo is UTC
    assert isinstance(credentials.completed_at.timestamp(), float)
