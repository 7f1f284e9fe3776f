"""What a flood of requests costs: threads, writes and lines of the log."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from asgiref.testing import ApplicationCommunicator

from ca_embed._host.log_limit import LINES_A_SECOND, LogLimit
from ca_embed._vault.health import Health
from ca_embed.errors import StorageUnavailable
from ca_embed.storage import MemoryStorage, SealedRecord
from tests.doors.clients import AsgiClient, http_scope
from tests.doors.fixtures import ClientOf
from tests.flow.kit import USER, Clock, build, closing, delivery, wait_until

# --- the body of a delivery without a signature ----------------------------------------------------


class Unread:
    """The input of a WSGI request that no one may read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read")

    readline = readlines = __iter__ = read


@pytest.mark.parametrize("missing", ["X-CA-Timestamp", "X-CA-Signature"])
def test_wsgi_reads_no_body_without_a_signature(missing: str) -> None:
    """A delivery without one of the two headers gets 401 before its body is read."""
    headers, _ = delivery()
    del headers[missing]
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": "/webhook", "CONTENT_LENGTH": "100"}
    answered: list[Any] = []
    with closing(embed := build()):
        embed.wsgi(
            {**environ, "wsgi.input": Unread()}, lambda status, *rest: answered.append(status) or print
        )
    assert answered == ["401 Unauthorized"]


@pytest.mark.parametrize("missing", ["X-CA-Timestamp", "X-CA-Signature"])
def test_asgi_reads_no_body_without_a_signature(missing: str) -> None:
    """A delivery without one of the two headers gets 401 before its body has arrived."""
    headers, _ = delivery()
    del headers[missing]
    scope = http_scope("POST", "/webhook", [*headers.items(), ("Content-Length", "100")])

    async def status() -> int:
        communicator = ApplicationCommunicator(embed.asgi, scope)
        start = await communicator.receive_output(timeout=20)
        await communicator.receive_output(timeout=20)
        await communicator.wait(timeout=20)
        return int(start["status"])

    with closing(embed := build()):
        assert asyncio.run(status()) == 401


# --- health --------------------------------------------------------------------------------------


class Counting(MemoryStorage):
    """Counts what is saved."""

    saved = 0

    def save(self, record: SealedRecord) -> bool:
        self.saved += 1
        return super().save(record)


def test_health_is_cached(client_of: ClientOf) -> None:
    """Of many calls within a second, one writes to the storage. A later one writes again."""
    storage = Counting()
    client = client_of(build(storage=storage))
    before = time.monotonic()
    calls = 0
    while time.monotonic() < before + 1.5:
        assert client.get("/health").status == 200
        calls += 1
    assert storage.saved == 2 < calls


def test_one_probe_at_a_time() -> None:
    """While a probe is under way, others wait for it and share its result, also a failure."""
    began, let_go, probes = threading.Event(), threading.Event(), []

    def probe() -> None:
        probes.append(1)
        began.set()
        assert let_go.wait(20)
        raise StorageUnavailable("the disk is full")

    health = Health(probe)

    def said() -> str:
        with pytest.raises(StorageUnavailable) as caught:
            health.check()
        return str(caught.value)

    with ThreadPoolExecutor(4) as asking:
        answers = [asking.submit(said) for _ in range(4)]
        assert began.wait(20)
        let_go.set()
        assert {answer.result(20) for answer in answers} == {"the disk is full"}
    assert len(probes) == 1


def test_a_flood_of_health_leaves_threads_for_webhooks() -> None:
    """While forty calls of /health wait for a storage that hangs, a webhook is accepted."""
    let_go, probing = threading.Event(), threading.Event()

    class Hangs(MemoryStorage):
        def load(self, registration_id: str) -> Any:
            if registration_id == "~probe":
                probing.set()
                assert let_go.wait(20)
            return super().load(registration_id)

    with closing(embed := build(storage=Hangs()), client := AsgiClient(embed.asgi)):

        async def flood() -> Any:
            health = [asyncio.create_task(client.ask("GET", "/health")) for _ in range(40)]
            await asyncio.to_thread(probing.wait, 20)
            answer = await client.ask("POST", "/webhook", *delivery())
            let_go.set()
            return answer, await asyncio.gather(*health)

        answer, health = client.run(flood())
    assert answer.json == {"status": "accepted"}
    assert {one.status for one in health} == {200}


# --- identify ------------------------------------------------------------------------------------


def test_plain_identify_runs_side_by_side() -> None:
    """Under ASGI, four requests are in a plain `identify` at once."""
    together = threading.Barrier(4)

    def identify(scope: Any) -> str:
        together.wait(20)
        return USER

    with closing(embed := build(identify=identify), client := AsgiClient(embed.asgi)):

        async def four() -> Any:
            return await asyncio.gather(*(client.ask("GET", "/") for _ in range(4)))

        assert [answer.status for answer in client.run(four())] == [200] * 4


def test_a_thread_that_the_host_asks_for() -> None:
    """In a host's thread-sensitive context, as in Django's, a plain `identify` runs in the thread of that."""
    threads = []

    def identify(scope: Any) -> str:
        threads.append(threading.current_thread())
        return USER

    async def host(scope: Any, receive: Any, send: Any) -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(identify)(scope)
            await embed.asgi(scope, receive, send)

    with closing(embed := build(identify=identify), client := AsgiClient(host)):
        assert client.get("/").status == 200
    with closing(client := AsgiClient(embed.asgi), embed):
        assert client.get("/").status == 200
    hosts_own, inside, outside = threads
    assert inside is hosts_own
    assert "ca_embed-identify" in outside.name


def test_identify_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all threads for `identify` hang, the next request gets 503 within seconds. A webhook is accepted."""
    monkeypatch.setattr("ca_embed._host.threads._LONGEST_WAIT", 0.2)
    let_go, inside = threading.Event(), threading.Semaphore(0)

    def identify(scope: Any) -> str:
        inside.release()
        assert let_go.wait(60)
        return USER

    with closing(embed := build(identify=identify), client := AsgiClient(embed.asgi)):

        async def flood() -> Any:
            pages = [asyncio.create_task(client.ask("GET", "/")) for _ in range(17)]
            for _ in range(16):
                await asyncio.to_thread(inside.acquire, timeout=20)
            answer = await client.ask("POST", "/webhook", *delivery())
            await asyncio.sleep(0.3)  # longer than a request may wait for a thread
            let_go.set()
            return answer, await asyncio.gather(*pages)

        answer, pages = client.run(flood())
    assert answer.json == {"status": "accepted"}
    assert Counter(page.status for page in pages) == {200: 16, 503: 1}


# --- the log -------------------------------------------------------------------------------------


def test_refusals_are_logged_a_few_times_a_second(client_of: ClientOf, caplog: Any) -> None:
    """A flood of refusals is logged some times a second, and counted later in one line. Others are logged."""
    client = client_of(build())
    sent = 300
    for _ in range(sent):
        client.post("/webhook")
    client.post("/sessions", origin="https://evil.example")

    def lines(beginning: str) -> list[str]:
        client.get("/ca-embed.js")  # any request brings the count
        texts = [record.getMessage() for record in caplog.records]
        return [text for text in texts if text.startswith(beginning)]

    def logged() -> int:
        return len(lines("webhook reason=bad_shape ("))

    def counted() -> int:
        return sum(int(line.split()[-2]) for line in lines("webhook reason=bad_shape ... and "))

    wait_until(lambda: logged() + counted() == sent)
    assert 0 < logged() < sent
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert lines("sessions reason=forbidden_origin")


def test_the_log_limit() -> None:
    """Ten lines of one kind pass at once, then ten a second. Another kind has its own ten."""
    limit = LogLimit(clock := Clock(0.0))
    assert [limit.admits("a") for _ in range(15)] == [True] * LINES_A_SECOND + [False] * 5
    assert limit.admits("b")
    assert limit.left_out() == {}
    clock.advance(1)
    assert limit.left_out() == {"a": 5}
    assert limit.left_out() == {}
    assert sum(limit.admits("a") for _ in range(15)) == LINES_A_SECOND
    clock.advance(3600)
    assert sum(limit.admits("a") for _ in range(15)) == LINES_A_SECOND
