"""pytest fixtures for the tests of your application. pytest finds them if ca_embed is installed.

Below, `client` is a test client of an application, whose `embed` comes from `ca_embed_factory`. A test
client has no port, so the sandbox cannot deliver to it: the test posts the webhook itself.

    def test_connects(ca_sandbox, client, embed):
        registration_id = client.post("/chatarchitect/sessions").json["registration_id"]
        ca_sandbox.complete(registration_id, deliver=False)
        headers, body = ca_sandbox.signed_webhook(registration_id)
        client.post("/chatarchitect/webhook", headers=headers, data=body)
        assert embed.credentials(registration_id)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the fixtures import these themselves: every run of pytest loads this module
    from ca_embed.embed import Embed
    from ca_embed.sandbox import Sandbox


@pytest.fixture
def ca_sandbox() -> Iterator[Sandbox]:
    """A running local ChatArchitect, see `ca_embed.sandbox.Sandbox`."""
    from ca_embed.sandbox import Sandbox

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def ca_partner_token(ca_sandbox: Sandbox) -> str:
    """The partner token of `ca_sandbox`. It signs webhooks."""
    return ca_sandbox.partner_token


@pytest.fixture
def ca_embed_factory(ca_sandbox: Sandbox) -> Iterator[Callable[..., Embed]]:
    """A function that builds an `Embed` for `ca_sandbox`. The Embeds are closed after the test.

    It takes the arguments of `Embed`. By default the storage is in memory, and `public_url` is
    http://localhost/chatarchitect, because test clients use the host name localhost.
    """
    from ca_embed.embed import Embed

    with ExitStack() as stack:

        def make(**arguments: Any) -> Embed:
            settings = {
                "base_url": ca_sandbox.base_url,
                "partner_token": ca_sandbox.partner_token,
                "public_url": "http://localhost/chatarchitect",
                "storage": "memory:",
                "encryption_keys": "fake-encryption-key-for-tests",
            }
            return stack.enter_context(closing(Embed(**{**settings, **arguments})))

        yield make
