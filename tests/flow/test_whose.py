"""A registration stays with the user it was created for, after any answer of the Partner API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from webtest import TestApp

from ca_embed import PartnerUnavailable, Session
from ca_embed._use_cases.registrar import CreatedSession, order_session
from ca_embed._webhook import token_id
from tests.flow.kit import NOBODY_LISTENS, SECRET, TOKEN, build, closing, delivery


def session(registration_id: str) -> CreatedSession:
    """Return what the Partner API answers for a session."""
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    new = Session(registration_id, f"{NOBODY_LISTENS}/?s={registration_id}", in_an_hour, "started")
    return CreatedSession(new, token_id(TOKEN))


def test_an_id_that_is_given_out_twice() -> None:
    """The second user does not get the first one's registration."""
    embed = build()
    with closing(embed):
        embed._core.registrar.store_session(order_session(embed._core.settings, "first"), session("same"))
        with pytest.raises(PartnerUnavailable, match="same"):
            embed._core.registrar.store_session(
                order_session(embed._core.settings, "second"), session("same")
            )
        registration = embed.registration("same")
        assert registration is not None
        assert registration.user_id == "first"


def test_a_webhook_for_another_user_that_is_faster_than_the_session() -> None:
    """Credentials for one user are not shown to another, even if their sessions share an id."""
    embed = build()
    with closing(embed):
        headers, body = delivery(registration_id="early", partner_user_id="first")
        assert TestApp(embed.wsgi).post("/webhook", body, headers=headers).json == {"status": "accepted"}
        with pytest.raises(PartnerUnavailable):
            embed._core.registrar.store_session(
                order_session(embed._core.settings, "second"), session("early")
            )
        assert embed.registrations("second") == []


def test_a_webhook_that_is_faster_than_its_session() -> None:
    """The session may come before its credentials, or after them."""
    embed = build()
    with closing(embed):
        headers, body = delivery(registration_id="early", partner_user_id="first")
        TestApp(embed.wsgi).post("/webhook", body, headers=headers)
        embed._core.registrar.store_session(order_session(embed._core.settings, "first"), session("early"))
        credentials = embed.credentials("early")
        assert credentials is not None
        assert credentials.app_secret == SECRET
        (registration,) = embed.registrations("first")
        assert registration.status == "completed"
        assert registration.expires_at is not None
