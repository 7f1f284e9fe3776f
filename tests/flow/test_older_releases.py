"""This release opens, continues and completes registrations that an older release has sealed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ca_embed import Credentials, Registration
from tests.doors.fixtures import ClientOf
from tests.flow.kit import SECRET, build, delivery
from tests.flow.releases import snapshot

pytestmark = pytest.mark.parametrize("release", snapshot.RELEASES)


def test_registrations_are_read(release: str) -> None:
    """Every field of every registration is there, and the credentials can be opened."""
    storage, clock = snapshot.laid_down(release)
    embed = build(storage=storage, clock=clock)
    found = {one.user_id: one for one in embed.registrations()}
    ada, bob, eve = (found[user_id] for user_id in ("ada", "bob", "eve"))

    assert (ada.status, ada.partner_state, ada.lang, ada.integration) == ("started", "order 7", "es", None)
    assert ada.created_at == datetime.fromtimestamp(clock.now, UTC)
    assert ada.expires_at > ada.created_at
    assert embed.credentials(ada.registration_id) is None
    assert (bob.status, eve.status, eve.registration_id) == ("completed", "completed", "from-before")
    for one in (bob, eve):
        assert embed.credentials(one.registration_id) == Credentials(
            app_id="ca_app_123",
            app_secret=SECRET,
            phone="421233221242",
            integration="My CRM",
            completed_at=datetime(2026, 7, 4, 10, tzinfo=UTC),
        )
    embed.close()


def test_what_was_owed_is_done(release: str) -> None:
    """A handler that had failed runs again. One that had not failed does not run."""
    storage, clock = snapshot.laid_down(release)
    embed, runs = build(storage=storage, clock=clock), list[tuple[str, str | None]]()

    @embed.on_completed(name="connect")
    def connect(registration: Registration, credentials: Credentials) -> None:
        runs.append(("connect", registration.user_id))

    @embed.on_completed(name="report")
    def report(registration: Registration, credentials: Credentials) -> None:
        runs.append(("report", registration.user_id))

    clock.advance(60)
    embed.reconcile()
    assert sorted(runs) == [("report", "bob"), ("report", "eve")]
    embed.close()


def test_sessions_are_finished(release: str, client_of: ClientOf) -> None:
    """A session of the older release is completed by this one. Stored credentials count as a duplicate."""
    storage, clock = snapshot.laid_down(release)
    embed = build(storage=storage, clock=clock)
    (ada,) = embed.registrations("ada")
    client = client_of(embed)
    webhooks = [
        delivery(
            at=clock.now,
            registration_id=registration_id,
            partner_user_id=user_id,
            partner_state=partner_state,
        )
        for registration_id, user_id, partner_state in [
            (ada.registration_id, "ada", "order 7"),
            ("from-before", "eve", None),
        ]
    ]
    answers = [client.deliver(webhook).json["status"] for webhook in webhooks]
    assert answers == ["accepted", "duplicate"]
