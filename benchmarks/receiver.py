"""The whole receiver in process, beside the handler that one would write by hand.

    python -m benchmarks.receiver

Both store with the same durability: one SQLite commit with `synchronous = FULL`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import _handwritten, _sites
from benchmarks._commits import sqlite_rows
from benchmarks._deliveries import BASE_URL, KEY, NOW, PUBLIC_URL, TOKENS, body_of, environ_of, scope_of
from benchmarks._handwritten import Handwritten
from benchmarks._measure import QUICK, Contender, Figure, compared, rates, show, turns
from ca_embed import Embed
from ca_embed._vault.ledger import _Proven
from ca_embed._webhook import sign

FORGED = "sha256=" + "0" * 64


@dataclass(frozen=True, slots=True)
class Contenders:
    """Our receiver and the hand-written one, each with a database of its own."""

    embed: Embed
    by_hand: Handwritten


@contextmanager
def contenders() -> Iterator[Contenders]:
    """Yield both. What they log at INFO is off, as in most applications."""
    logging.getLogger("ca_embed").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder:
        embed = Embed(
            base_url=BASE_URL,
            partner_token=TOKENS[:1],
            public_url=PUBLIC_URL,
            storage=f"sqlite:///{folder}/ca_embed.db",
            encryption_keys=[KEY],
            identify=lambda _request: "user_456",
            clock=lambda: NOW,
        )
        by_hand = Handwritten(Path(folder) / "by_hand.db", TOKENS[0], KEY, clock=lambda: NOW)
        try:
            yield Contenders(embed, by_hand)
        finally:
            embed.close()
            by_hand.close()


def main() -> list[Figure]:
    """Measure all, and print them."""
    return show(in_one_thread() + on_an_event_loop() + in_threads() + in_frameworks())


def in_one_thread() -> list[Figure]:
    """Return the figures of the WSGI doors."""
    with contenders() as both:
        ours, theirs = both.embed.wsgi, _handwritten.wsgi(both.by_hand)
        writes_again = _handwritten.wsgi(both.by_hand, again=True)
        elsewhere = _of_another_process(both.embed)
        known = body_of(400)
        for door in (ours, theirs):
            _answer(door, environ_of(known))
        times = turns(
            {
                "ours, accepted": _requests(ours, lambda: body_of(400)),
                "by hand, accepted": _requests(theirs, lambda: body_of(400)),
                "ours, duplicate": _requests(ours, lambda: known),
                "by hand, duplicate": _requests(theirs, lambda: known),
                "ours, duplicate, stored elsewhere": _requests(elsewhere, lambda: known),
                "by hand, duplicate, stored again": _requests(writes_again, lambda: known),
                "ours, refused": _requests(ours, lambda: known, signature=FORGED),
                "by hand, refused": _requests(theirs, lambda: known, signature=FORGED),
            }
        )
    return [
        compared(
            f"WSGI, {word}, to raw WSGI by hand", times, f"ours, {word}", f"by hand, {word}", target=target
        )
        for word, target in (("accepted", 1.2), ("duplicate", 2.5), ("refused", 3.0))
    ] + [
        compared(
            "WSGI, duplicate that another process stored, to one by hand that writes again",
            times,
            "ours, duplicate, stored elsewhere",
            "by hand, duplicate, stored again",
            target=1.2,
        )
    ]


def on_an_event_loop() -> list[Figure]:
    """Return the figures of the ASGI doors."""
    with contenders() as both, asyncio.Runner() as runner:
        ours, theirs = both.embed.asgi, _handwritten.asgi(both.by_hand)
        known = body_of(400)

        def requests(door: Any, body: Callable[[], bytes], signature: str | None = None) -> Contender:
            def make() -> tuple[dict[str, Any], bytes]:
                content = body()
                return scope_of(content, signature=signature), content

            return Contender(lambda delivery: runner.run(_awaited(door, delivery)), make)

        for door in (ours, theirs):
            runner.run(_awaited(door, (scope_of(known), known)))
        times = turns(
            {
                "ours, accepted": requests(ours, lambda: body_of(400)),
                "by hand, accepted": requests(theirs, lambda: body_of(400)),
                "ours, duplicate": requests(ours, lambda: known),
                "by hand, duplicate": requests(theirs, lambda: known),
                "ours, refused": requests(ours, lambda: known, signature=FORGED),
                "by hand, refused": requests(theirs, lambda: known, signature=FORGED),
            }
        )
    return [
        compared(f"ASGI, {word}, to raw ASGI by hand", times, f"ours, {word}", f"by hand, {word}")
        for word in ("accepted", "duplicate", "refused")
    ]


def in_frameworks() -> list[Figure]:
    """Return the figures of our adapters, beside a view by hand in the same framework, and Bolt."""
    with TemporaryDirectory() as folder:
        os.environ["CA_EMBED_BENCHMARK_FOLDER"] = folder
        flask: Any = _sites.flask()
        bolt = _slack_bolt(Path(folder) / "bolt.db")
        real = {"HTTP_X_CA_TIMESTAMP": str(int(time.time()))}

        def delivery(path: str) -> Contender:
            def make() -> dict[str, Any]:
                body = body_of(400)
                signature = sign(body, int(real["HTTP_X_CA_TIMESTAMP"]), TOKENS[0])
                environ = environ_of(body, signature=signature)
                return {**environ, **real, "SCRIPT_NAME": "", "PATH_INFO": path}

            return Contender(partial(_answer, flask.wsgi_app), make)

        contenders = {
            "ours": delivery("/chatarchitect/webhook"),
            "by hand": delivery("/by-hand/webhook"),
        }
        if bolt is not None:
            contenders["Bolt"] = bolt
        times = turns(contenders)
    what = "Flask, accepted"
    figures = [compared(f"{what}, to a Flask view by hand", times, "ours", "by hand")]
    if "Bolt" in times:
        figures.append(compared(f"{what}, to slack_bolt with one row stored", times, "ours", "Bolt"))
    return figures


def _slack_bolt(path: Path) -> Contender | None:
    """Return deliveries to an app of Bolt, whose listener stores one row before the answer."""
    try:
        from slack_bolt import App
        from slack_bolt.adapter.wsgi import SlackRequestHandler
        from slack_bolt.authorization import AuthorizeResult
        from slack_sdk.signature import SignatureVerifier
    except ImportError:
        return None
    app = App(
        signing_secret="a-signing-secret",
        authorize=lambda: AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="B1"),
        process_before_response=True,
        logger=logging.getLogger("bolt"),
    )
    store = sqlite_rows(path)

    @app.event("app_home_opened")
    def stored() -> None:
        store()

    handler: Any = SlackRequestHandler(app, path="/slack/events")
    verifier = SignatureVerifier("a-signing-secret")

    def make() -> dict[str, Any]:
        event = {"type": "app_home_opened", "user": "U1", "channel": "C1", "padding": "x" * 200}
        body = json.dumps(
            {"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event": event, "event_id": "E1"}
        ).encode()
        stamp = str(int(time.time()))
        signature = verifier.generate_signature(timestamp=stamp, body=body)
        more = {"HTTP_X_SLACK_REQUEST_TIMESTAMP": stamp, "HTTP_X_SLACK_SIGNATURE": signature}
        return {**environ_of(body), **more, "SCRIPT_NAME": "", "PATH_INFO": "/slack/events"}

    return Contender(partial(_answer, handler), make)


def in_threads(threads: int = 16) -> list[Figure]:
    """Return the rate of accepted webhooks when many threads deliver at once."""
    ours_rates, their_rates, raw_rates = [], [], []
    with contenders() as both, TemporaryDirectory() as folder:
        ours, theirs = both.embed.wsgi, _handwritten.wsgi(both.by_hand)
        raw = sqlite_rows(Path(folder) / "raw.db")
        for _ in range(3 if QUICK else 15):
            ours_rates.append(_rate(ours, threads))
            their_rates.append(_rate(theirs, threads))
            raw_rates.append(rate(raw, threads))
    what = f"accepts/s, {threads} threads"
    return [
        rates(f"{what}, to raw WSGI by hand", ours_rates, their_rates, target=1.5),
        rates(f"{what}, to single-row commits of SQLite", ours_rates, raw_rates, target=2.0),
    ]


def rate(call: Callable[[], object], threads: int, seconds: float = 0.5) -> float:
    """Return how many calls a second that many threads complete."""
    counts = [0] * threads
    failed: list[BaseException] = []
    start = threading.Barrier(threads + 1)

    def run(number: int) -> None:
        call()  # opens its connection
        start.wait()
        end = time.perf_counter() + seconds
        try:
            while time.perf_counter() < end:
                call()
                counts[number] += 1
        except BaseException as error:
            failed.append(error)
            raise

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait(60)
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]
    return sum(counts) / (time.perf_counter() - begin)


def _rate(door: Any, threads: int) -> float:
    prepared = [environ_of(body_of(400)) for _ in range(12_000)]
    numbers = itertools.count()
    return rate(lambda: _answer(door, prepared[next(numbers)]), threads)


def _of_another_process(embed: Embed) -> Any:
    """Return our door as it is in a process that has stored nothing itself: it forgets what it stored."""
    door: Any = embed.wsgi

    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Any:
        embed._core.ledger._proven = _Proven()
        return door(environ, start_response)

    return application


def _requests(door: Any, body: Callable[[], bytes], signature: str | None = None) -> Contender:
    return Contender(partial(_answer, door), lambda: environ_of(body(), signature=signature))


def _answer(door: Any, environ: dict[str, Any]) -> bytes:
    answers: list[bytes] = list(door(environ, _started))
    return answers[0]


def _started(_status: str, _headers: list[tuple[str, str]]) -> None:
    """Take the head of a response."""


async def _awaited(door: Any, delivery: tuple[dict[str, Any], bytes]) -> bytes:
    scope, body = delivery
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await door(scope, receive, send)
    answer: bytes = sent[1]["body"]
    return answer


if __name__ == "__main__":
    main()
