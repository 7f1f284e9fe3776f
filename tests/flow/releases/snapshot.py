"""Sealed registrations as each release leaves them, kept so that later releases are held to them.

When a release is made:

    python -m tests.flow.releases.snapshot 0.1.0
"""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from ca_embed import Credentials, Registration
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage, SealedRecord
from tests.doors.clients import WsgiClient
from tests.flow.kit import TOKEN, Clock, build, delivery

HERE = Path(__file__).parent
RELEASES = sorted(path.stem for path in HERE.glob("*.json"))


def laid_down(release: str) -> tuple[MemoryStorage, Clock]:
    """Return a storage with the records of that release, and the time of the snapshot."""
    storage, kept = MemoryStorage(), json.loads((HERE / f"{release}.json").read_text())
    for fields in kept["records"]:
        record = SealedRecord(**{**fields, "document": base64.b64decode(fields["document"])})
        for version in range(1, record.version + 1):
            storage.save(replace(record, version=version))
    return storage, Clock(kept["taken_at"])


def write_down(release: str) -> None:
    """Write an open session, a completed one with a handler to run, and one that was not created here."""
    storage, clock = MemoryStorage(), Clock()
    with Sandbox([TOKEN]) as sandbox:
        embed = build(storage=storage, base_url=sandbox.base_url, clock=clock)
        embed.on_completed(name="connect")(lambda registration, credentials: None)
        embed.on_completed(name="report")(_fail)
        embed.create_session("ada", partner_state="order 7", lang="es")
        bob = embed.create_session("bob").registration_id
        client = WsgiClient(embed.wsgi)
        client.deliver(delivery(at=clock.now, registration_id=bob, partner_user_id="bob"))
        client.deliver(delivery(at=clock.now, registration_id="from-before", partner_user_id="eve"))
        embed.close()
        client.close()
    records = [
        {**asdict(record), "document": base64.b64encode(record.document).decode()}
        for record in storage.list(limit=9)
    ]
    kept = {"taken_at": clock.now, "records": records}
    (HERE / f"{release}.json").write_text(json.dumps(kept, indent=1) + "\n")


def _fail(registration: Registration, credentials: Credentials) -> None:
    raise RuntimeError("this handler will be owed a run")


if __name__ == "__main__":
    write_down(sys.argv[1])
