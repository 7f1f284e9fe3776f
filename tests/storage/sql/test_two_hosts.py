"""Two host applications in separate processes share a PostgreSQL server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from ca_embed import Embed
from ca_embed.testing._webhooks import signed_webhook
from tests.storage.local_servers import PostgreSQLServer

TOKEN = "fake-partner-token-of-the-tests"
PATIENCE = 60.0
ROOT = Path(__file__).parents[3]


class Host:
    """One of the host applications."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "tests.storage.sql.host"]
        self._environment = {**os.environ, **environment}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def deliver(self, headers: dict[str, str], body: bytes) -> str:
        """POST a webhook. Return the status in a 200 response, else the HTTP status or the error."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/webhook", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        return str(answer["status"]) if response.status == 200 else str(response.status)


@pytest.fixture
def settings(postgresql: PostgreSQLServer) -> dict[str, str]:
    """The settings of both hosts. The database has no table yet."""
    with postgresql.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS ca_embed_registrations")
    return {
        "CA_EMBED_BASE_URL": "http://127.0.0.1:9",
        "CA_EMBED_PARTNER_TOKEN": TOKEN,
        "CA_EMBED_PUBLIC_URL": "https://crm.example/chatarchitect",
        "CA_EMBED_STORAGE": postgresql.url,
        "CA_EMBED_ENCRYPTION_KEYS": "fake-encryption-key-of-the-tests",
    }


@pytest.fixture
def hosts(settings: dict[str, str]) -> Iterator[list[Host]]:
    """Both hosts, running."""
    hosts = [Host(settings), Host(settings)]
    yield hosts
    for host in hosts:
        host.kill()


@pytest.fixture
def observer(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Embed]:
    """Another Embed with the same storage, for reading the result."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    embed = Embed.from_env()
    yield embed
    embed.close()


def test_one_of_64_concurrent_duplicates_is_accepted(hosts: list[Host], observer: Embed) -> None:
    """All others get `duplicate`, from both hosts, and the credentials are stored."""
    headers, body = signed_webhook(TOKEN, registration_id="the-one", app_id="ca_app_64")
    barrier = threading.Barrier(64)

    def deliver(number: int) -> str:
        barrier.wait()
        while (answer := hosts[number % 2].deliver(headers, body)) == "503":
            continue  # the host is too busy: repeat the delivery, as ChatArchitect does
        return answer

    with ThreadPoolExecutor(64) as pool:
        answers = Counter(pool.map(deliver, range(64)))
    assert answers == {"accepted": 1, "duplicate": 63}
    credentials = observer.credentials("the-one")
    assert credentials is not None
    assert credentials.app_id == "ca_app_64"


def test_kill_9_of_a_host_and_of_postgresql_loses_nothing_acknowledged(
    hosts: list[Host], observer: Embed, postgresql: PostgreSQLServer
) -> None:
    """Kill one host, then the server, under load. No acknowledged delivery is lost or accepted twice."""
    webhooks = [signed_webhook(TOKEN, registration_id=f"r{n:02}", app_id=f"ca_app_{n}") for n in range(64)]
    answers: list[Counter[str]] = [Counter() for _ in webhooks]
    under_way, over = threading.Semaphore(0), threading.Event()

    def deliver_again_and_again(number: int) -> None:
        at = number
        give_up = time.monotonic() + PATIENCE
        while not (over.is_set() and _acknowledged(answers[number])) and time.monotonic() < give_up:
            answers[number][hosts[at % 2].deliver(*webhooks[number])] += 1
            under_way.release()
            at += 1

    threads = [threading.Thread(target=deliver_again_and_again, args=(n,)) for n in range(64)]
    for thread in threads[:32]:
        thread.start()
    _wait_for(under_way, 20)
    hosts[0].kill()
    for thread in threads[32:]:
        thread.start()
    hosts[0].start()
    _wait_for(under_way, 20)
    with postgresql.away():
        _wait_for(under_way, 20)
    over.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert all(map(_acknowledged, answers)), answers
    assert all(answer["accepted"] <= 1 for answer in answers), answers
    assert any(answer["503"] for answer in answers), "the load did not meet the server's absence"
    for number in range(64):
        credentials = observer.credentials(f"r{number:02}")
        assert credentials is not None
        assert credentials.app_id == f"ca_app_{number}"


def _acknowledged(answers: Counter[str]) -> bool:
    return bool(answers["accepted"] + answers["duplicate"])


def _wait_for(happened: threading.Semaphore, times: int) -> None:
    for _ in range(times):
        assert happened.acquire(timeout=PATIENCE)
