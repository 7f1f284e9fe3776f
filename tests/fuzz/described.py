"""schemathesis against both doors: it makes requests of the OpenAPI document, right ones and wrong ones.

`FuzzedDoor` sends them to an Embed in one of several conditions. Every response must be one that the
document lists, and a 5xx only one that the condition explains.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from ca_embed.errors import StorageUnavailable
from ca_embed.http._routes import endpoints
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.clients import AsgiDoor, Client, WsgiDoor
from tests.flow.kit import NOBODY_LISTENS, TOKEN, build, store_session

DOORS = ("asgi", "wsgi")
BASE = "http://127.0.0.1"
SETTINGS = partial(
    settings,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
OPERATIONS = [f"{one.method} {one.path}" for one in endpoints()]
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


REGISTRATION = "abc123def456ghi789jkl0"  # an open session of the user


class BrokenStorage(MemoryStorage):
    """A storage whose every call fails."""

    def load(self, registration_id: str) -> Any:
        raise StorageUnavailable("the test has broken it")

    save = query = load  # type: ignore[assignment]


@dataclass(frozen=True)
class Condition:
    """What the Embed has to cope with.

    faults: statuses of 5xx that it explains.
    """

    faults: frozenset[int] = frozenset()
    signed_in: bool = True
    partner: str | None = None  # None: the sandbox
    knobs: tuple[tuple[str, Any], ...] = ()
    storage: Callable[[], MemoryStorage] = MemoryStorage


CONDITIONS = {
    "well": Condition(),
    "signed out": Condition(signed_in=False),
    "storage broken": Condition(frozenset({503}), storage=BrokenStorage),
    "Partner API down": Condition(frozenset({502}), partner=NOBODY_LISTENS),
    "Partner API fails": Condition(frozenset({502}), knobs=(("api_status", 500),)),
    "Partner API refuses": Condition(frozenset({502}), knobs=(("api_redirect", True),)),
    "Partner API talks nonsense": Condition(frozenset({502}), knobs=(("api_garbage", True),)),
}


class FuzzedDoor:
    """A door of an Embed, and schemathesis's view of the document that it serves."""

    def __init__(self, client: Client, condition: Condition) -> None:
        self._client = client
        self._condition = condition
        self._schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json)
        self._sent = 0

    def fuzz(self, name: str, examples: int) -> dict[int, int]:
        """Send so many right requests of an operation, and wrong ones. Return how often each status came."""
        method, path = name.split(" ")
        operation = self._schema[path][method]
        statuses: dict[int, int] = {}

        def check(case: Any) -> None:
            self._sent += 1
            if self._sent % 2 and "registration_id" in case.path_parameters:
                case.path_parameters["registration_id"] = REGISTRATION
            request = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
            response = self._send(request)
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            case.validate_response(response, checks=CHECKS)
            explained = response.status_code < 500 or response.status_code in self._condition.faults
            assert explained, (response.status_code, response.content)

        def run(strategy: Any) -> None:
            SETTINGS(max_examples=examples)(given(strategy)(check))()

        run(operation.as_strategy())
        if method == "POST":  # the others take any text, so they cannot be asked wrongly
            run(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        return statuses

    def _send(self, request: requests.PreparedRequest) -> schemathesis.Response:
        """Send a request to the door, which holds the response to the document."""
        body = request.body or b""
        body = body if isinstance(body, bytes) else body.encode()
        path = unquote(request.path_url.partition("?")[0])
        signed = path == "/webhook" and self._sent % 4  # one of four stays as schemathesis has made it
        headers = {str(key).lower(): str(value) for key, value in request.headers.items()}
        answer = self._client.request(
            str(request.method), path, headers=headers | (_signature(body) if signed else {}), body=body
        )
        listed = {name: [value] for name, value in answer.headers.items()}
        return schemathesis.Response(answer.status, listed, answer.body, request, elapsed=0.0, verify=False)


def _signature(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    mac = hmac.new(TOKEN.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"x-ca-timestamp": stamp, "x-ca-signature": f"sha256={mac}"}


@contextmanager
def fuzzed_door(door: str, condition: Condition) -> Iterator[FuzzedDoor]:
    """Yield a door of an Embed in this condition."""
    with Sandbox(partner_tokens=[TOKEN]) as sandbox:
        sandbox.knobs.update(dict(condition.knobs))
        embed = build(
            public_url=BASE,
            base_url=condition.partner or sandbox.base_url,
            identify=(lambda native: "user_456") if condition.signed_in else None,
            storage=condition.storage(),
            login_url="/login",
        )
        client = WsgiDoor(embed.wsgi, lint=False) if door == "wsgi" else AsgiDoor(embed.asgi)
        try:
            with _quiet():
                if condition.storage is MemoryStorage:
                    store_session(embed, REGISTRATION, expires_at=time.time() + 3600)
                yield FuzzedDoor(client, condition)
        finally:
            embed.close()
            client.close()


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("ca_embed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
