"""Measures the time to verify and read a webhook, as a ratio to the least possible work (the floor).

The floor is an HMAC, a constant-time comparison and `json.loads`. Each visit times the floor, the subject
and the floor again. Its ratio is the subject's time over the mean of the two floors. The result is the
median of all visits. So a machine whose speed changes gives the same ratios.
"""

from __future__ import annotations

import gc
import hmac
import json
import statistics
import time
from collections.abc import Callable

from ca_embed._strict_json import parse_object
from ca_embed._webhook import Authenticated, Verifier, read_event, sign

TOKENS = ["a-partner-token-for-benchmarks-1", "a-partner-token-for-benchmarks-2"]
NOW = 1_780_000_000
VISITS, BLOCK_SECONDS = 150, 0.002


def body_of(size: int) -> bytes:
    """Return the body of a webhook of about that many bytes."""
    fields = {
        "event": "whatsapp.registration.completed",
        "registration_id": "abc123def456ghi789jkl0",
        "partner_user_id": "user_456",
        "partner_state": "opaque",
        "app_id": "ca_app_123",
        "app_secret": "not a secret",
        "phone": "421233221242",
        "integration": "My CRM",
        "completed_at": "2026-07-04T10:00:00+00:00",
    }
    padding = max(0, size - len(json.dumps(fields)) - 14)
    return json.dumps({**fields, "padding": "x" * padding}).encode()


def floor(body: bytes) -> Callable[[], object]:
    """Return the least possible work: no check of the window, the headers' shape or the fields."""
    key, timestamp = TOKENS[0].encode(), str(NOW).encode()
    signature = sign(body, NOW, TOKENS[0])

    def run() -> object:
        mac = "sha256=" + hmac.digest(key, timestamp + b"." + body, "sha256").hex()
        assert hmac.compare_digest(mac, signature)
        return json.loads(body)

    return run


def verified_and_parsed(body: bytes, tokens: int) -> Callable[[], object]:
    """Return the work of other receivers: check signature and window, and parse strict JSON."""
    verify = verified(body, tokens)

    def run() -> object:
        verify()
        return parse_object(body)

    return run


def read(body: bytes) -> Callable[[], object]:
    """Return all work of ours before storing: signature, window, strict JSON and the fields."""
    verify = verified(body, 1)
    return lambda: read_event(body, verify())


def verified(body: bytes, tokens: int) -> Callable[[], Authenticated]:
    """Return the check of signature and window, with that many tokens."""
    verifier = Verifier(TOKENS[:tokens], window=300)
    timestamps, signatures = [str(NOW).encode()], [sign(body, NOW, TOKENS[0]).encode()]
    return lambda: verifier.verify(body, timestamps, signatures, NOW)


def per_call(call: Callable[[], object]) -> float:
    """Return the seconds of CPU time for one call, measured over a block of calls."""
    calls, begin = 0, time.thread_time()
    while (spent := time.thread_time() - begin) < BLOCK_SECONDS:
        for _ in range(20):
            call()
        calls += 20
    return spent / calls


def ratio(call: Callable[[], object], to: Callable[[], object]) -> float:
    """Return the median ratio over all visits."""
    visits = []
    for _ in range(VISITS):
        before, own, after = per_call(to), per_call(call), per_call(to)
        visits.append(own / ((before + after) / 2))
    return statistics.median(visits)


def main() -> None:
    """Print a row of ratios for each size of body."""
    gc.disable()
    print("a webhook, ratio to HMAC + compare + json.loads")
    print(f"{'body':>10} {'floor':>7} {'verify + parse':>15} {'... 2 tokens':>13} {'+ fields':>9}")
    for size in (400, 4_096, 60_000):
        body = body_of(size)
        subjects = (floor(body), verified_and_parsed(body, 1), verified_and_parsed(body, 2), read(body))
        same, one, two, whole = (ratio(subject, floor(body)) for subject in subjects)
        print(f"{len(body):>8} B {same:>7.2f} {one:>15.2f} {two:>13.2f} {whole:>9.2f}")


if __name__ == "__main__":
    main()
