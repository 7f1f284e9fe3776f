"""Which deliveries count: the signature, the window and the body, and nothing in between.

The signatures are computed here by hand, from the guide's formula, never by the code that is tested.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from ca_embed._events import SignedEvent
from ca_embed._registration import Completion, PartnerFields
from ca_embed._webhook import (
    Authenticated,
    Verifier,
    is_registration_id,
    parse_instant,
    read_credentials,
    read_event,
    sign,
    token_id,
)
from ca_embed.errors import InvalidPayload, InvalidSignature, RequestError, StaleTimestamp

TOKEN = "fake-partner-token-0123456789"  # no one's
OTHER_TOKEN = "another-fake-token-0123456789"
NOW = 1_783_159_200
WINDOW = 300

PAYLOAD = {
    "event": "whatsapp.registration.completed",
    "registration_id": "abc123def456ghi789jkl0",
    "partner_user_id": "user_456",
    "partner_state": "opaque-state-value",
    "app_id": "ca_app_123",
    "app_secret": "fake-secret-value",
    "phone": "421233221242",
    "integration": "My CRM",
    "completed_at": "2026-07-04T10:00:00+00:00",
}
BODY = json.dumps(PAYLOAD).encode()
SIGNER = Authenticated("0123456789abcdef", NOW)


def signature(timestamp: bytes, body: bytes, token: str = TOKEN) -> bytes:
    """Compute X-CA-Signature as RFC 2104 defines HMAC, without the hmac module."""
    key = token.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + timestamp + b"." + body).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner)
    return b"sha256=" + outer.hexdigest().encode()


def verify(
    body: bytes = BODY,
    timestamp: bytes = b"%d" % NOW,
    signed: bytes | None = None,
    *,
    now: float = NOW,
    tokens: tuple[str, ...] = (TOKEN,),
) -> Authenticated:
    """Verify one delivery, which is right except for the given arguments."""
    signed = signature(timestamp, body) if signed is None else signed
    return Verifier(tokens, WINDOW).verify(body, [timestamp], [signed], now)


def event(**changes: Any) -> Completion:
    """Read a body with these changes; `...` leaves a field out."""
    fields = {name: value for name, value in (PAYLOAD | changes).items() if value is not ...}
    read = read_event(json.dumps(fields).encode(), SIGNER)
    assert isinstance(read, Completion)
    return read


# --- signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "timestamp", "body", "expected"),
    [
        (
            "fake-partner-token-0123456789",
            1783159200,
            b'{"event":"whatsapp.registration.completed"}',
            "ecd02ddce4fa09a61035ccefa7dd19907b4014928b2378e9c8ac60ab73cb20a2",
        ),
        ("key", 0, b"", "85841b4efc3cd7776c3c8f9b7cca9e281c550e5d19889d78e9e669c6337f000d"),
        (
            "k" * 100,
            999999999999,
            b"\x00\xff.1.2",
            "0f611bcd9e57fa8037bbe4fcf07a836b52fbba99a883a8ba3e9331cffb3e5807",
        ),
        ("schlüssel", 1, b"x", "822a844ea65bd0d3e13af70de4ae6f50b19818c00f1d9a01f159f26495bf0441"),
    ],
)
def test_fixed_vectors(token: str, timestamp: int, body: bytes, expected: str) -> None:
    """We make and accept the same signatures as another program."""
    assert sign(body, timestamp, token) == f"sha256={expected}"
    headers = [b"%d" % timestamp], [f"sha256={expected}".encode()]
    assert Verifier([token], 1).verify(body, *headers, timestamp).signed_at == timestamp


def test_a_right_delivery() -> None:
    """A delivery with the right signature tells who signed it, and when."""
    assert verify() == Authenticated(token_id(TOKEN), NOW)


@pytest.mark.parametrize(
    "tokens", [(TOKEN, OTHER_TOKEN), (OTHER_TOKEN, TOKEN), (OTHER_TOKEN, "third", TOKEN)]
)
def test_every_live_token_counts(tokens: tuple[str, ...]) -> None:
    """Any of several tokens may have signed, in any place of the list."""
    assert verify(tokens=tokens).token_id == token_id(TOKEN)
    by_other = signature(b"%d" % NOW, BODY, OTHER_TOKEN)
    assert verify(signed=by_other, tokens=tokens).token_id == token_id(OTHER_TOKEN)


def test_every_token_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tokens are compared, also after one that fits, so the time taken tells nothing."""
    compared = []
    compare = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr("ca_embed._webhook.hmac.compare_digest", counting)
    verify(tokens=(TOKEN, OTHER_TOKEN, "third"))
    assert len(compared) == 3


@pytest.mark.parametrize("tokens", [(), (OTHER_TOKEN,), (OTHER_TOKEN, TOKEN + " "), (TOKEN.upper(),)])
def test_a_foreign_token_does_not_count(tokens: tuple[str, ...]) -> None:
    """A signature by an unknown token is refused, and without a token nothing is authentic."""
    with pytest.raises(InvalidSignature) as refusal:
        verify(tokens=tokens)
    assert refusal.value.reason == "bad_mac"


GOOD = signature(b"%d" % NOW, BODY)
MAC = GOOD.removeprefix(b"sha256=")


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        MAC,
        b"sha256=",
        b"sha256=" + MAC[:-1],
        b"sha256=" + MAC[:-2],
        b"sha256=" + MAC + b"0",
        b"sha256=" + MAC.upper(),
        b"SHA256=" + MAC,
        b"sha1=" + hmac.digest(TOKEN.encode(), b"%d." % NOW + BODY, "sha1").hex().encode(),
        b"sha512=" + MAC,
        b"sha256:" + MAC,
        b"sha256= " + MAC,
        GOOD + b" ",
        b" " + GOOD,
        GOOD + b"\n",
        GOOD + b"\r",
        GOOD + b"\0",
        GOOD + b",",
        b"sha256=" + b"0" * 64 + b", " + GOOD,
        GOOD + b", " + b"sha256=" + b"0" * 64,
        GOOD + b" " + GOOD,
        b",".join([b"sha256=" + b"0" * 64] * 10_000 + [GOOD]),
        b"sha256=" + "é".encode() * 32,
        b"sha256=" + b"\xff" * 64,
        b"sha256=" + b"\xed\xa0\x80" * 21 + b"0",
        b"sha256=" + "\uff10".encode() * 64,
        b"sha256=" + "\uff10".encode("utf-16-be") * 32,
        b"v9=" + MAC,
    ],
)
def test_a_malformed_signature_is_told_by_its_shape(signed: bytes) -> None:
    """A signature has one form: sha256= and 64 digits of lower-case hex."""
    with pytest.raises(InvalidSignature) as refusal:
        verify(signed=signed)
    assert refusal.value.reason == "bad_shape"


def test_a_wrong_mac_is_told_apart() -> None:
    """A well-formed signature that fits no token is refused for its MAC. The caller gets the same text."""
    with pytest.raises(InvalidSignature) as by_mac:
        verify(signed=b"sha256=" + b"0" * 64)
    with pytest.raises(InvalidSignature) as by_shape:
        verify(signed=b"")
    assert by_mac.value.reason == "bad_mac"
    assert by_mac.value.answer == by_shape.value.answer


@pytest.mark.parametrize("position", range(64))
def test_every_digit_of_the_mac_counts(position: int) -> None:
    """A signature with any one digit of the MAC changed is refused."""
    digit = b"0" if MAC[position : position + 1] != b"0" else b"1"
    with pytest.raises(InvalidSignature):
        verify(signed=b"sha256=" + MAC[:position] + digit + MAC[position + 1 :])


@pytest.mark.parametrize(
    "body",
    [
        BODY + b" ",
        BODY[:-1],
        BODY.replace(b"ca_app_123", b"ca_app_124"),
        json.dumps(PAYLOAD, indent=1).encode(),
        b"\xef\xbb\xbf" + BODY,
        b"",
    ],
)
def test_the_very_bytes_are_signed(body: bytes) -> None:
    """Another body under the same signature is refused, even if it means the same."""
    with pytest.raises(InvalidSignature) as refusal:
        verify(body, signed=GOOD)
    assert refusal.value.reason == "bad_mac"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"a": "\xff"}',
        json.dumps(PAYLOAD).encode("utf-16"),
        b"[" * 100_000,
        b"\0",
        b"x" * 1_000_000,
        BODY.replace(b",", b",\r\n"),
    ],
)
def test_any_bytes_can_be_authentic(body: bytes) -> None:
    """The signature covers any bytes. A body with a wrong signature is refused without being parsed."""
    assert verify(body).signed_at == NOW
    with pytest.raises(InvalidSignature):
        verify(body, signed=b"sha256=" + b"0" * 64)


@pytest.mark.parametrize(
    ("timestamps", "signatures"),
    [
        ([], [GOOD]),
        ([b"%d" % NOW], []),
        ([], []),
        ([b"%d" % NOW] * 2, [GOOD]),
        ([b"%d" % NOW], [GOOD] * 2),
        ([b"%d" % NOW], [b"", GOOD]),
        ([b"1", b"%d" % NOW], [GOOD]),
    ],
)
def test_each_header_comes_once(timestamps: list[bytes], signatures: list[bytes]) -> None:
    """A header that is missing or repeated is refused, even if one of its values is right."""
    with pytest.raises(InvalidSignature, match="missing or repeated") as refusal:
        Verifier([TOKEN], WINDOW).verify(BODY, timestamps, signatures, NOW)
    assert refusal.value.reason == "bad_shape"


# --- timestamps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "timestamp",
    [
        b"",
        b" %d" % NOW,
        b"%d " % NOW,
        b"%d\n" % NOW,
        b"%d\r\n" % NOW,
        b"%d\0" % NOW,
        b"%d\xa0" % NOW,
        b"%d\xc2\xa0" % NOW,
        b"+%d" % NOW,
        b"-%d" % NOW,
        b"%de0" % NOW,
        b"%d.0" % NOW,
        b"%d.9" % NOW,
        b"%d," % NOW,
        b"%d,%d" % (NOW, NOW),
        b"1_783_159_200",
        hex(NOW).encode(),
        b"abc",
        b"nan",
        b"inf",
        b"9" * 13,
        b"9" * 20,
        b"9" * 400,
        b"9" * 5000,
        "²".encode(),
        "²".encode("latin-1"),
        str(NOW).translate({48 + n: 0x660 + n for n in range(10)}).encode(),
        str(NOW).translate({48 + n: 0xFF10 + n for n in range(10)}).encode(),
        b"\xed\xa0\x80",
        b"\xff",
    ],
)
def test_a_timestamp_is_ascii_digits_only(timestamp: bytes) -> None:
    """A timestamp that is not a plain number is refused for its form, although its text is signed."""
    with pytest.raises(InvalidSignature) as refusal:
        verify(timestamp=timestamp)
    assert refusal.value.reason == "bad_shape"


def test_leading_zeros_are_digits() -> None:
    """A timestamp with leading zeros is signed as it is written, and read as its number."""
    assert verify(timestamp=b"00%d" % NOW).signed_at == NOW
    with pytest.raises(InvalidSignature):
        verify(timestamp=b"00%d" % NOW, signed=GOOD)


@pytest.mark.parametrize("age", [0, 1, 299, 299.999, 300, -1, -299, -299.999, -300])
def test_the_window_includes_its_edges(age: float) -> None:
    """A delivery may be as old as the window, or as far ahead of our clock."""
    assert verify(now=NOW + age).signed_at == NOW


@pytest.mark.parametrize(
    ("age", "words"),
    [(300.001, "in the past"), (301, "in the past"), (-300.001, "in the future"), (-301, "in the future")],
)
def test_outside_the_window(age: float, words: str) -> None:
    """A delivery beyond either edge is stale, and the message says on which side."""
    with pytest.raises(StaleTimestamp, match=words) as refusal:
        verify(now=NOW + age)
    assert refusal.value.reason == "stale"


@pytest.mark.parametrize(
    "timestamp", [b"0", b"1", b"%d000" % NOW, b"999999999999", b"%d" % (NOW + 315_360_000)]
)
def test_far_outside_the_window(timestamp: bytes) -> None:
    """The epoch, milliseconds and the far future are stale, also with a right signature."""
    if len(timestamp) > 12:
        with pytest.raises(InvalidSignature):
            verify(timestamp=timestamp)
    else:
        with pytest.raises(StaleTimestamp):
            verify(timestamp=timestamp)


def test_the_signature_is_checked_before_the_window() -> None:
    """A sender that cannot sign does not learn the time of our clock."""
    with pytest.raises(InvalidSignature):
        verify(signed=b"sha256=" + b"0" * 64, now=NOW + 10_000)


def test_the_boundary_cannot_be_shifted() -> None:
    """Signed bytes cannot be split into another timestamp and another body."""
    body = b"123." + BODY
    signed = signature(b"%d" % NOW, body)
    assert verify(body, signed=signed).signed_at == NOW
    for timestamp, rest in (
        (b"%d.123" % NOW, BODY),
        (b"%d" % (NOW // 10), b"%d." % (NOW % 10) + body),
        (b"%d." % NOW, body),
        (b"%d.123." % NOW, BODY),
    ):
        with pytest.raises(InvalidSignature):
            verify(rest, timestamp, signed)


def test_nothing_shows_a_token() -> None:
    """Neither the verifier nor a token's id reveals anything about the token."""
    verifier = Verifier([TOKEN, OTHER_TOKEN], WINDOW)
    assert repr(verifier) == "<Verifier with 2 tokens>"
    assert token_id(TOKEN) != token_id(OTHER_TOKEN)
    assert len(token_id(TOKEN)) == 16
    assert hashlib.sha256(TOKEN.encode()).hexdigest()[:16] != token_id(TOKEN)


# --- the body --------------------------------------------------------------------------------------


def test_the_guides_payload() -> None:
    """The guide's own example is read, field by field."""
    completion = event()
    assert completion is not None
    assert completion.registration_id == "abc123def456ghi789jkl0"
    assert completion.partner_fields == PartnerFields("user_456", "opaque-state-value")
    assert completion.signed_at == NOW
    assert completion.token_id == SIGNER.token_id
    credentials = completion.credentials
    assert credentials.app_id == "ca_app_123"
    assert credentials.app_secret == "fake-secret-value"
    assert credentials.phone == "421233221242"
    assert credentials.integration == "My CRM"
    assert credentials.completed_at == datetime(2026, 7, 4, 10, tzinfo=UTC)
    assert "fake-secret-value" not in repr(completion)
    assert "fake-secret-value" not in str(completion)


@pytest.mark.parametrize("name", ["partner_user_id", "partner_state", "phone", "integration"])
@pytest.mark.parametrize("value", [None, ..., ""])
def test_optional_fields(name: str, value: object) -> None:
    """Fields that are not credentials may be null, missing or empty."""
    assert event(**{name: value}) is not None


@pytest.mark.parametrize("value", [None, ...])
def test_no_time_of_completion(value: object) -> None:
    """Without completed_at, the signed timestamp is the time of completion."""
    completion = event(completed_at=value)
    assert completion is not None
    assert completion.credentials.completed_at == datetime.fromtimestamp(NOW, UTC)


def test_unknown_fields_are_kept_out_of_the_way() -> None:
    """Fields that the guide may add later change nothing."""
    assert event(new_field={"deep": [1, 2, 3]}, another=None) == event()


@pytest.mark.parametrize(
    "name", ["whatsapp.registration.failed", "x", " whatsapp.registration.completed", "é"]
)
def test_other_events(name: str) -> None:
    """Another event type is read with all its fields, whatever they are."""
    read = read_event(json.dumps({"event": name, "registration_id": 7}).encode(), SIGNER)
    assert isinstance(read, SignedEvent)
    assert (read.name, read.registration_id, read.payload["registration_id"]) == (name, None, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("event", value) for value in (..., None, "", 7, [], {})),
        *(
            ("registration_id", value)
            for value in (..., None, "", 7, [], "a b", "../x", "a" * 129, "ä", "a\n", "a\0", "٣", "a%2f")
        ),
        *(
            (name, value)
            for name in ("app_id", "app_secret")
            for value in (..., None, "", 7, True, ["x"], {})
        ),
        *(
            (name, value)
            for name in ("partner_user_id", "partner_state", "phone", "integration")
            for value in (7, 1.5, True, [], {}, ["x"])
        ),
        *(
            ("completed_at", value)
            for value in (
                "",
                7,
                1783159200,
                True,
                [],
                "yesterday",
                "2026-13-04T10:00:00+00:00",
                "2026-07-04T25:00:00",
                "2026-07-04T10:00:00+99:00",
                "0001-01-01T00:00:00+10:00",
                "9999-12-31T23:59:59-10:00",
                "2026-07-04T10:00:00+00:00 ",
                "\uff12\uff10\uff12\uff16-07-04",
                "2026-07-04\ufffd10:00:00\ufffd",
            )
        ),
    ],
)
def test_wrong_fields_are_named(name: str, value: object) -> None:
    """A field that differs from the guide is refused. The error names the field and never its value."""
    with pytest.raises(InvalidPayload, match=name) as refusal:
        event(**{name: value})
    assert refusal.value.reason == "bad_payload"
    assert "fake-secret" not in str(refusal.value)
    assert "ca_app" not in str(refusal.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        BODY + b"x",
        BODY + BODY,
        BODY[:-1],
        b"\xef\xbb\xbf" + BODY,
        json.dumps(PAYLOAD).encode("utf-16"),
        json.dumps(PAYLOAD).encode("utf-32"),
        BODY.replace(b"My CRM", b"\xff"),
        BODY.replace(b"My CRM", b"\xed\xa0\x80"),
        BODY.replace(b"My CRM", b"\\ud800"),
        BODY.replace(b"My CRM", b"\\udc00\\ud800"),
        BODY.replace(b"My CRM", b"\0"),
        BODY.replace(b"My CRM", b"\n"),
        BODY[:-1] + b', "app_secret": "another-fake-secret"}',
        BODY[:-1] + b', "x": NaN}',
        BODY[:-1] + b', "x": -Infinity}',
        BODY[:-1] + b', "x": 1e999}',
        BODY[:-1] + b', "x": %b}' % (b"9" * 5000),
        BODY[:-1] + b', "x": ' + b"[" * 100_000,
        BODY[:-1] + b', "x": %b}' % (b"[" * 33 + b"]" * 33),
    ],
)
def test_what_is_no_strict_json(body: bytes) -> None:
    """If two parsers could read an authentic body differently, it is refused with its own reason."""
    with pytest.raises(InvalidPayload, match="strict JSON") as refusal:
        read_event(body, SIGNER)
    assert refusal.value.reason == "bad_json"
    assert "fake-secret" not in str(refusal.value)


def test_text_that_is_odd_but_right() -> None:
    """Escaped NUL, surrogate pairs and line ends within JSON are text like any other."""
    completion = event(integration="\0", partner_state="🙂\r\n\u2028")
    assert completion is not None
    assert completion.credentials.integration == "\0"
    assert completion.partner_fields == PartnerFields("user_456", "🙂\r\n\u2028")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-04T10:00:00+00:00", datetime(2026, 7, 4, 10, tzinfo=UTC)),
        ("2026-07-04T10:00:00Z", datetime(2026, 7, 4, 10, tzinfo=UTC)),
        ("2026-07-04T10:00:00", datetime(2026, 7, 4, 10, tzinfo=UTC)),
        ("2026-07-04 12:00:00+02:00", datetime(2026, 7, 4, 10, tzinfo=UTC)),
        ("2026-07-03T23:30:00.250-10:30", datetime(2026, 7, 4, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("20260704T100000Z", datetime(2026, 7, 4, 10, tzinfo=UTC)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    """Times in any notation and zone become the same instant in UTC."""
    instant = parse_instant(text, "completed_at")
    assert instant == expected
    assert instant.tzinfo is UTC


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without a zone is read in the same way in any time zone of the server."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert parse_instant("2026-07-04T10:00:00", "x") == datetime(2026, 7, 4, 10, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_credentials_of_a_result() -> None:
    """The fields of the result endpoint are read in the same way. Without a time they get the caller's."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    fields = {"app_id": "ca_app_123", "app_secret": "fake-secret-value"}
    credentials = read_credentials(fields, otherwise_completed_at=moment)
    assert (credentials.phone, credentials.integration, credentials.completed_at) == (None, None, moment)


@pytest.mark.parametrize("text", ["a", "-", "_", "A" * 128, "abc123def456ghi789jkl0", "0-9_z"])
def test_registration_ids(text: str) -> None:
    """A registration id is 1 to 128 of A-Z a-z 0-9 _ -."""
    assert is_registration_id(text)


@pytest.mark.parametrize(
    "other", ["", "a" * 129, "a.b", "a/b", "a b", "a\n", "\na", "é", "٣", "a\0", None, 7, b"a"]
)
def test_what_is_no_registration_id(other: object) -> None:
    """Anything else is not a registration id, above all nothing that could be a path."""
    assert not is_registration_id(other)


def test_every_refusal_is_a_request_error() -> None:
    """All errors that the HTTP code catches have one root, and an HTTP status."""
    kinds = {InvalidSignature: 401, StaleTimestamp: 401, InvalidPayload: 400}
    assert all(issubclass(kind, RequestError) and kind.status == status for kind, status in kinds.items())
