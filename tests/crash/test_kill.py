"""Killed at any moment, under load: what was acknowledged is there, and is handed over."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.doors.real import SERVERS, Server
from tests.flow.kit import build, closing, delivery, wait_until

ROUNDS, CLIENTS = 3, 6


class Load:
    """Clients that deliver as fast as they can, and note what was acknowledged."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self.acknowledged: dict[str, str] = {}

    def run_until_killed(self, number: int, seconds: float) -> None:
        """Deliver until the server is killed, after so many seconds and at least one acknowledgement."""
        self._stop.clear()
        with ThreadPoolExecutor(CLIENTS) as clients:
            for client in range(CLIENTS):
                clients.submit(self._deliver, f"{number}-{client}")
            before = len(self.acknowledged)
            wait_until(lambda: len(self.acknowledged) > before)
            time.sleep(seconds)
            self._server.kill()
            self._stop.set()

    def _deliver(self, name: str) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            registration_id, secret = f"r-{name}-{count}", f"fake-secret-{name}-{count}"
            try:
                answered = self._server.deliver(delivery(registration_id=registration_id, app_secret=secret))
            except (OSError, ValueError):  # killed meanwhile
                return
            if answered == (200, {"status": "accepted"}):
                self.acknowledged[registration_id] = secret


@pytest.mark.parametrize("storage", ["sqlite:///{}/r.db", "file:{}/r"])
@pytest.mark.parametrize("kind", SERVERS)
def test_kill(kind: str, storage: str, tmp_path: Path) -> None:
    """After kill -9 every acknowledged delivery is there, whole, and its handler runs."""
    moments = random.Random(f"{kind} {storage}")
    url = storage.format(tmp_path)
    server = Server(kind, tmp_path, url)
    load = Load(server)
    try:
        for number in range(ROUNDS):
            server.start()
            load.run_until_killed(number, moments.uniform(0.1, 0.6))
    finally:
        server.kill()
    assert len(load.acknowledged) > ROUNDS
    handled = server.handled.read_text().split()
    with closing(embed := build(storage=url, clock=lambda: time.time() + 120)):
        embed.on_completed(name="note")(lambda registration, _: handled.append(registration.registration_id))
        for registration_id, secret in load.acknowledged.items():
            credentials = embed.credentials(registration_id)
            assert credentials is not None
            assert credentials.app_secret == secret
        assert len(embed.registrations()) >= len(load.acknowledged)
        did = embed.reconcile()
        assert did.unreadable == 0
        assert set(load.acknowledged) <= set(handled)
        assert embed.reconcile().handlers_done == 0
