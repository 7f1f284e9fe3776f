"""Writes vectors.json: deliveries for any receiver of ChatArchitect's webhooks, with the answers to expect.

    python tools/vectors.py

docs/vectors.md describes the file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "vectors.json"
TOKEN = "fake-partner-token-of-the-vectors"
NOW, MAC = "{now}", "sha256={mac}"

FIELDS: dict[str, Any] = {
    "event": "whatsapp.registration.completed",
    "registration_id": "",
    "partner_user_id": None,
    "partner_state": None,
    "app_id": "ca_app_123",
    "app_secret": "fake-app-secret",
    "phone": "421233221242",
    "integration": "My CRM",
    "completed_at": "2026-07-04T10:00:00+00:00",
}


def body(name: str, **changed: Any) -> bytes:
    """Return a completion; `...` leaves a field out."""
    fields = {**FIELDS, "registration_id": f"vector-{name}", **changed}
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


def vector(
    name: str,
    content: bytes,
    status: int,
    answer: str,
    timestamps: tuple[str, ...] = (NOW,),
    *,
    signatures: tuple[str, ...] = (MAC,),
    token: str = TOKEN,
    length: int | None = None,
) -> dict[str, Any]:
    """Return one delivery."""
    return {
        "name": name,
        "length": len(content) if length is None else length,
        "body": base64.b64encode(content).decode(),
        "timestamps": timestamps,
        "signatures": signatures,
        "token": token,
        "accepted": status < 300,
        "status": status,
        "answer": answer,
    }


def deliveries() -> Iterator[dict[str, Any]]:
    """Yield all deliveries, in the order in which they are sent."""
    yield from good()
    yield from wrong_headers()
    yield from wrong_times()
    yield from wrong_bodies()


def good() -> Iterator[dict[str, Any]]:
    """Yield deliveries that count, and two that come again."""
    yield vector("plain", body("plain"), 200, "accepted")
    yield vector("again", body("plain"), 200, "duplicate")
    yield vector("again-later", body("plain"), 200, "duplicate", ("{now+60}",))
    spaced = b"  " + body("spaced").replace(b": ", b" :\t") + b"\r\n"
    yield vector("odd-spaces", spaced, 200, "accepted")
    yield vector("longest", body("longest"), 200, "accepted", length=65_536)
    optional = ("partner_user_id", "partner_state", "phone", "integration", "completed_at")
    for field in optional:
        yield vector(f"no-{field}", body(f"no-{field}", **{field: ...}), 200, "accepted")
        yield vector(f"null-{field}", body(f"null-{field}", **{field: None}), 200, "accepted")
    for name, value in (("z", "2026-07-04T10:00:00Z"), ("zone", "2026-07-04T15:30:00+05:30")):
        yield vector(f"time-{name}", body(f"time-{name}", completed_at=value), 200, "accepted")
    yield vector("new-field", body("new-field", later={"deep": [1, None]}), 200, "accepted")
    yield vector("emoji", body("emoji", app_secret="\U0001f511 \u00fc"), 200, "accepted")
    yield vector("id-of-one", body("x", registration_id="v"), 200, "accepted")
    yield vector("id-of-128", body("x", registration_id="v-" * 64), 200, "accepted")
    for name in ("whatsapp.registration.renamed", "ping", "Whatsapp.registration.completed"):
        yield vector(f"event-{name}", body("event", event=name), 200, "ignored")
    for offset in ("-290", "+290"):
        yield vector(
            f"at{offset}", body(f"at{offset[1:]}-{offset[0] == '+'}"), 200, "accepted", (f"{{now{offset}}}",)
        )


def wrong_headers() -> Iterator[dict[str, Any]]:
    """Yield deliveries whose headers are missing, repeated, malformed or of another key or body."""
    zeros = "sha256=" + "0" * 64
    signatures = {
        "none": (),
        "twice": (MAC, MAC),
        "right-then-wrong": (MAC, zeros),
        "wrong-then-right": (zeros, MAC),
        "empty": ("",),
        "zeros": (zeros,),
        "no-prefix": ("{mac}",),
        "upper-prefix": ("SHA256={mac}",),
        "upper-hex": ("sha256={MAC}",),
        "sha512": ("sha512={mac}",),
        "sha1": ("sha1={mac}",),
        "too-long": (MAC + "0",),
        "doubled": (MAC + "{mac}",),
        "list": (f"{MAC},{MAC}",),
        "inner-space": ("sha256= {mac}",),
        "quoted": ('"sha256={mac}"',),
        "prefix-only": ("sha256=",),
        "not-hex": ("sha256=" + "g" * 64,),
        "latin": ("sha256=" + "\xfc" * 64,),
        "bearer": ("Bearer {mac}",),
    }
    for name, claims in signatures.items():
        content = body(f"signature-{name}")
        yield vector(f"signature-{name}", content, 401, "invalid_signature", signatures=claims)
    timestamps = {
        "none": (),
        "twice": (NOW, NOW),
        "empty": ("",),
        "plus": ("+{now}",),
        "minus": ("-{now}",),
        "fraction": ("{now}.0",),
        "exponent": ("1e9",),
        "hex": ("0x6a48da00",),
        "underscore": ("1_800_000_000",),
        "iso": ("2026-07-04T10:00:00Z",),
        "word": ("now",),
        "list": ("{now},{now}",),
        "superscript": ("\xb2",),
        "milliseconds-and-more": ("9" * 400,),
    }
    for name, stamps in timestamps.items():
        content = body(f"timestamp-{name}")
        yield vector(f"timestamp-{name}", content, 401, "invalid_signature", timestamps=stamps)
    for name, token in (
        ("other", TOKEN + "x"),
        ("empty", ""),
        ("upper", TOKEN.upper()),
        ("short", TOKEN[:-1]),
    ):
        yield vector(f"token-{name}", body(f"token-{name}"), 401, "invalid_signature", token=token)


def wrong_times() -> Iterator[dict[str, Any]]:
    """Yield deliveries that are signed rightly, at another time."""
    for name, stamp in {
        "an-hour-ago": "{now-3600}",
        "in-an-hour": "{now+3600}",
        "ten-minutes-ago": "{now-600}",
        "in-ten-minutes": "{now+600}",
        "a-year-ago": "{now-31536000}",
        "epoch": "0",
        "one": "1",
        "guide": "1783159200",
        "2038": "2147483648",
        "far": "99999999999",
        "leading-zeros": "000000000001",
        "milliseconds": "999999999999",
    }.items():
        yield vector(f"stale-{name}", body(f"stale-{name}"), 401, "stale_timestamp", (stamp,))


def wrong_bodies() -> Iterator[dict[str, Any]]:
    """Yield bodies that are signed rightly, and are no completion."""
    plain = body("twice")
    raw = {
        "empty": b"",
        "space": b" ",
        "text": b"hello",
        "form": b"event=whatsapp.registration.completed",
        "list": b"[]",
        "number": b"1",
        "null": b"null",
        "string": b'"event"',
        "empty-object": b"{}",
        "cut": plain[:-1],
        "two-objects": plain + plain,
        "trailing-comma": plain[:-1] + b",}",
        "comment": plain + b"// more",
        "utf-16": plain.decode().encode("utf-16"),
        "utf-8-bom": b"\xef\xbb\xbf" + plain,
        "not-utf-8": plain.replace(b"My CRM", b"\xff\xfe"),
        "nan": plain[:-1] + b', "n": NaN}',
        "infinity": plain[:-1] + b', "n": -Infinity}',
        "huge-number": plain[:-1] + b', "n": 1e999}',
        "secret-twice": plain[:-1] + b', "app_secret": "another"}',
        "id-twice": plain[:-1] + b', "registration_id": "another"}',
        "deep": plain[:-1] + b', "n": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "half-a-pair": plain[:-1] + b', "n": "\\ud800"}',
        "control-character": plain.replace(b"My CRM", b"My\x00CRM"),
        "single-quotes": plain.replace(b'"', b"'"),
    }
    for name, content in raw.items():
        yield vector(f"body-{name}", content, 400, "invalid_payload")
    wrong: list[tuple[str, Any]] = [
        ("registration_id", value) for value in ("", "a b", "../x", "v" * 129, "\u00e9", "a\n")
    ]
    for field in ("registration_id", "app_id", "app_secret", "event"):
        wrong += [(field, value) for value in (..., None, 1, ["x"])]
    wrong += [(field, "") for field in ("app_id", "app_secret", "event")]
    wrong += [
        (field, 1) for field in ("phone", "integration", "partner_user_id", "partner_state", "completed_at")
    ]
    wrong += [("completed_at", value) for value in ("yesterday", "2026-13-01T00:00:00Z", "1783159200")]
    for number, (field, value) in enumerate(wrong):
        content = body(f"field-{number}", **{field: value})
        yield vector(f"field-{field}-{number}", content, 400, "invalid_payload")
    yield vector("too-long", body("too-long"), 413, "body_too_large", length=65_537)


def document() -> str:
    """Return the text of the file."""
    return json.dumps({"version": 1, "token": TOKEN, "deliveries": [*deliveries()]}, indent=1) + "\n"


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
