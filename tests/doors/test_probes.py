"""`/live` and `/health`: which tells what."""

from __future__ import annotations

from typing import Any

from ca_embed.errors import StorageUnavailable
from ca_embed.storage import MemoryStorage
from tests.doors.fixtures import ClientOf
from tests.flow.kit import build


class Broken(MemoryStorage):
    """A storage that fails at each call."""

    def load(self, registration_id: str) -> Any:
        raise StorageUnavailable("fake: the disk is gone")

    def save(self, record: Any) -> bool:
        raise StorageUnavailable("fake: the disk is gone")


def test_live(client_of: ClientOf) -> None:
    """/live answers, also while the storage fails and identify raises. /health tells of the storage."""

    def identify(request: Any) -> str:
        raise KeyError

    client = client_of(build(storage=Broken(), identify=identify))
    for _ in range(2):
        answer = client.get("/live")
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        assert client.get("/health").status == 503


def test_live_takes_get_only(client_of: ClientOf) -> None:
    """Other methods get 405."""
    assert client_of(build()).post("/live").code == "method_not_allowed"
