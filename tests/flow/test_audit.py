"""The audit trail: each use of credentials and each erasure is told, with who and when, never with what."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from ca_embed import AuditEntry, ConfigurationError, Embed, NotFound
from ca_embed.sandbox import Sandbox
from tests.doors.fixtures import ClientOf
from tests.flow.kit import OWN_ORIGIN, SECRET, USER, Clock, at_sandbox, build, delivery

ID = "abc123def456ghi789jkl0"


def completed(client_of: ClientOf, embed: Embed) -> Embed:
    """Complete one registration."""
    embed.on_completed(name="connect")(lambda registration, credentials: None)
    client_of(embed).deliver(delivery())
    return embed


@pytest.mark.parametrize(
    ("act", "action", "about"),
    [
        (lambda embed: embed.credentials(ID), "credentials_read", {"registration_id": ID}),
        (lambda embed: embed.replay(ID), "replayed", {"registration_id": ID}),
        (lambda embed: embed.disconnect(ID), "disconnected", {"registration_id": ID}),
        (lambda embed: embed.forget(USER), "forgotten", {"user_id": USER}),
        (lambda embed: embed.export(USER), "exported", {"user_id": USER}),
        (lambda embed: embed.rotate_keys(), "keys_rotated", {}),
    ],
    ids=["read", "replay", "disconnect", "forget", "export", "rotate"],
)
def test_entry(
    client_of: ClientOf, act: Callable[[Embed], object], action: str, about: dict[str, str]
) -> None:
    """Each action is one entry, with who did it, when, and to which registration or user."""
    entries, clock = list[AuditEntry](), Clock()
    with closing(completed(client_of, build(audit=entries.append, clock=clock))) as embed:
        assert entries == []
        act(embed)
        at = datetime.fromtimestamp(clock.now, UTC)
        assert entries == [AuditEntry(action=action, actor=f"process {os.getpid()}", at=at, **about)]


def test_retried_webhook(sandbox: Sandbox) -> None:
    """A webhook that ChatArchitect was asked to send again is an entry too."""
    entries = list[AuditEntry]()
    with closing(at_sandbox(sandbox, audit=entries.append)) as embed:
        registration_id = embed.create_session(USER).registration_id
        sandbox.complete(registration_id)
        embed.retry_webhook(registration_id)
        assert [entry.action for entry in entries] == ["webhook_retried"]


def test_what_did_not_happen_is_no_entry(client_of: ClientOf) -> None:
    """Credentials that are not there were not read. A refused call and a dry run change nothing."""
    entries = list[AuditEntry]()
    with closing(completed(client_of, build(audit=entries.append))) as embed:
        embed.credentials("unknown")
        embed.registration(ID)
        embed.rotate_keys(dry_run=True)
        with pytest.raises(NotFound):
            embed.disconnect("unknown")
        assert entries == []


def test_by_the_page(client_of: ClientOf) -> None:
    """A disconnect by the page was the user's act."""
    entries = list[AuditEntry]()
    with closing(completed(client_of, build(audit=entries.append, disconnectable=True))) as embed:
        client_of(embed).request("DELETE", f"/sessions/{ID}", headers={"Origin": OWN_ORIGIN})
        assert [(entry.action, entry.actor) for entry in entries] == [("disconnected", "its user")]


def test_asynchronous(client_of: ClientOf) -> None:
    """The function may be asynchronous."""
    entries = list[AuditEntry]()

    async def keep(entry: AuditEntry) -> None:
        entries.append(entry)

    with closing(completed(client_of, build(audit=keep))) as embed:
        embed.credentials(ID)
        assert len(entries) == 1


def test_logger(client_of: ClientOf, caplog: pytest.LogCaptureFixture) -> None:
    """A logger gets one line for each entry, and its values as fields. No secret is in it."""
    audit = logging.getLogger("tests.audit")
    with (
        caplog.at_level(logging.INFO, "ca_embed"),
        caplog.at_level(logging.INFO, "tests.audit"),
        closing(completed(client_of, build(audit=audit))) as embed,
    ):
        embed.credentials(ID)
        embed.export(USER)
        read, exported = (record for record in caplog.records if record.name == "tests.audit")
        assert read.getMessage() == (
            f"audit action=credentials_read actor='process {os.getpid()}' registration_id='{ID}'"
        )
        assert vars(exported)["user_id"] == USER
        assert SECRET not in caplog.text


def test_a_function_that_raises(client_of: ClientOf, caplog: pytest.LogCaptureFixture) -> None:
    """It stops nothing. The log names the place, and on_error gets the exception."""
    reported = list[str]()

    def broken(entry: AuditEntry) -> None:
        raise ValueError(SECRET)

    with closing(completed(client_of, build(audit=broken))) as embed:
        embed.on_error(lambda error, where: reported.append(where))
        assert embed.credentials(ID) is not None
        assert reported == ["audit"]
        assert "audit reason=failed action=credentials_read raised=ValueError at " in caplog.text
        assert SECRET not in caplog.text


@pytest.mark.parametrize("audit", ["log", 5, {"a": 1}])
def test_wrong_setting(audit: Any) -> None:
    """What is neither a function nor a logger is refused when Embed is built."""
    with pytest.raises(ConfigurationError, match="audit must be a function"):
        build(audit=audit)
