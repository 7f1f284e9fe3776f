"""Verifying and reading one webhook, beside the least possible work and beside other libraries.

    python -m benchmarks.verify

The floor is one MAC, one comparison in constant time and one `json.loads`. The other libraries do what their
documentation tells a receiver to do: check the signature, then parse. None of them refuses repeated names or
checks the fields of the body, as ours does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from unittest.mock import patch

from benchmarks._deliveries import NOW, TOKENS, body_of
from benchmarks._measure import Contender, Figure, compared, show, turns
from ca_embed import _strict_json
from ca_embed._webhook import Verifier, read_event, sign

SIZES = ((400, "400 B"), (4_096, "4 KB"), (64_000, "64 KB"))
TARGETS = {"400 B": 1.3}
TARGETS_WITH_EXTRA = {"400 B": 0.8}


def main() -> list[Figure]:
    """Measure all sizes, and print them."""
    return show([figure for size, label in SIZES for figure in _figures(size, label)])


def _figures(size: int, label: str) -> list[Figure]:
    body, what = body_of(size), f"verify and read, {label}"
    with patch.object(_strict_json, "_fast_parser", lambda: _strict_json._standard_parser):
        times = _times({"ours": ours(body), "ours, two tokens": ours(body, tokens=2), "floor": floor(body)})
    figures = [
        compared(f"{what}, to the floor", times, "ours", "floor", target=TARGETS.get(label)),
        compared(f"{what}, two live tokens, to the floor", times, "ours, two tokens", "floor"),
    ]
    if _strict_json._fast_parser() is _strict_json._standard_parser:  # msgspec is not installed
        return figures
    calls = {"ours": ours(body), "floor": floor(body)}
    calls |= {name: call for name, make in PEERS.items() if (call := make(body)) is not None}
    times = _times(calls)
    target = TARGETS_WITH_EXTRA.get(label)
    return [
        *figures,
        compared(f"{what} with msgspec, to the floor", times, "ours", "floor", target=target),
        *(
            compared(f"{what} with msgspec, to {name}", times, "ours", name)
            for name in calls
            if name in PEERS
        ),
    ]


def _times(calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    contenders = {name: Contender(_without_argument(call)) for name, call in calls.items()}
    return turns(contenders, rounds=150, block=0.002, clock=time.thread_time)


def _without_argument(call: Callable[[], object]) -> Callable[[object], object]:
    return lambda _: call()


def floor(body: bytes) -> Callable[[], object]:
    """Return the least possible work: no check of the window, the headers' shape or the fields."""
    key, timestamp = TOKENS[0].encode(), str(NOW).encode()
    signature = sign(body, NOW, TOKENS[0])

    def run() -> object:
        mac = "sha256=" + hmac.digest(key, timestamp + b"." + body, "sha256").hex()
        assert hmac.compare_digest(mac, signature)
        return json.loads(body)

    return run


def ours(body: bytes, tokens: int = 1) -> Callable[[], object]:
    """Return all our work before storing: the headers' shape, signature, window, strict JSON, fields."""
    verifier = Verifier(TOKENS[:tokens], window=300)
    timestamps, signatures = [str(NOW).encode()], [sign(body, NOW, TOKENS[0]).encode()]
    return lambda: read_event(body, verifier.verify(body, timestamps, signatures, NOW))


# --- other libraries, each as its documentation shows it ------------------------------------------


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _standard(module: str, prefix: str) -> Callable[[bytes], Callable[[], object] | None]:
    def make(body: bytes) -> Callable[[], object] | None:
        library = _library(module)
        if library is None:
            return None
        key = b"a-key-of-32-bytes-for-benchmarks"
        webhook = library.Webhook("whsec_" + base64.b64encode(key).decode())
        stamp = str(int(time.time()))
        mac = hmac.digest(key, b"msg_1." + stamp.encode() + b"." + body, "sha256")
        headers = {
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": stamp,
            f"{prefix}-signature": "v1," + base64.b64encode(mac).decode(),
        }

        def run() -> object:
            verified = webhook.verify(body, headers)
            return json.loads(body) if verified is None else verified

        return run

    return make


def _stripe(body: bytes) -> Callable[[], object] | None:
    library = _library("stripe")
    if library is None:
        return None
    stamp = str(int(time.time()))
    mac = hmac.new(b"whsec_benchmarks", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={stamp},v1={mac}"

    def run() -> object:
        library.WebhookSignature.verify_header(body.decode(), header, "whsec_benchmarks", 300)
        return json.loads(body)

    return run


def _slack(body: bytes) -> Callable[[], object] | None:
    library = _library("slack_sdk.signature")
    if library is None:
        return None
    verifier, stamp = library.SignatureVerifier("a-signing-secret"), str(int(time.time()))
    signature = verifier.generate_signature(timestamp=stamp, body=body)

    def run() -> object:
        assert verifier.is_valid(body, stamp, signature)
        return json.loads(body)

    return run


def _gidgethub(body: bytes) -> Callable[[], object] | None:
    library = _library("gidgethub.sansio")
    if library is None:
        return None
    signature = "sha256=" + hmac.new(b"a-secret", body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-hub-signature-256": signature,
        "x-github-event": "ping",
        "x-github-delivery": "1",
    }
    return lambda: library.Event.from_http(headers, body, secret="a-secret")


PEERS: dict[str, Callable[[bytes], Callable[[], object] | None]] = {
    "standardwebhooks": _standard("standardwebhooks", "webhook"),
    "svix": _standard("svix", "svix"),
    "stripe": _stripe,
    "slack_sdk": _slack,
    "gidgethub": _gidgethub,
}

if __name__ == "__main__":
    main()
