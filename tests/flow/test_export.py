"""What a host hands out to a user who asks for their data."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import replace
from datetime import datetime

import pytest

from ca_embed import InvalidArgument, Registration
from ca_embed.sandbox import Sandbox
from ca_embed.storage import MemoryStorage
from tests.doors.fixtures import ClientOf
from tests.flow.kit import KEY, OWN_ORIGIN, SECRET, TOKEN, USER, at_sandbox, build, delivery

ID = "abc123def456ghi789jkl0"


def test_all_that_is_stored_but_the_secret(client_of: ClientOf) -> None:
    """Every field of the registration is there, with the application id, as JSON. No secret is."""
    with closing(build()) as embed:
        embed.on_completed(name="connect")(lambda registration, credentials: None)
        client_of(embed).deliver(delivery())
        exported = embed.export(USER)
        assert exported == {**asyncio.run(embed.aexport(USER)), "exported_at": exported["exported_at"]}
        text = json.dumps(exported)
        assert not any(secret in text for secret in (SECRET, TOKEN, KEY))
        (registration,) = exported["registrations"]
        assert set(registration) == {*Registration.__dataclass_fields__, "app_id", "events"}
        assert registration["app_id"] == "ca_app_123"
        assert registration["completed_at"] == "2026-07-04T10:00:00+00:00"
        assert registration["handlers"][0]["name"] == "connect"
        assert datetime.fromisoformat(exported["exported_at"]).tzinfo is not None
        assert (exported["user_id"], exported["unreadable"]) == (USER, [])


def test_the_times_of_sessions(sandbox: Sandbox, client_of: ClientOf) -> None:
    """The times that limit a user's sessions are stored, so they are exported too."""
    with closing(at_sandbox(sandbox)) as embed:
        client_of(embed).post("/sessions", Origin=OWN_ORIGIN)
        exported = embed.export(USER)
        assert len(exported["registrations"]) == len(exported["sessions_opened_at"]) == 1
        embed.forget(USER)
        assert embed.export(USER)["sessions_opened_at"] == []


def test_only_one_users(client_of: ClientOf) -> None:
    """Another user's registrations are not in it. A user without any gets an empty list."""
    with closing(build()) as embed:
        client_of(embed).deliver(delivery(registration_id="other", partner_user_id="eve"))
        assert embed.export(USER)["registrations"] == []
        assert [one["registration_id"] for one in embed.export("eve")["registrations"]] == ["other"]


def test_a_record_that_cannot_be_opened(client_of: ClientOf) -> None:
    """It is named, so that the operator knows that the export is not complete."""
    storage = MemoryStorage()
    with closing(build(storage=storage)) as embed:
        for registration_id in ("one", "two"):
            client_of(embed).deliver(delivery(registration_id=registration_id))
        record = storage.load("one")
        assert record is not None
        storage.save(replace(record, version=record.version + 1, document=record.document[:-1] + b"\0\1"))
        exported = embed.export(USER)
        assert [one["registration_id"] for one in exported["registrations"]] == ["two"]
        assert exported["unreadable"] == ["one"]


def test_no_user_id() -> None:
    """What cannot be a user id is refused, as everywhere."""
    with closing(build()) as embed, pytest.raises(InvalidArgument):
        embed.export("")
