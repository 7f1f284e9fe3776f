"""pytest fixtures for the tests of your application. pytest finds them if ca_embed is installed.

Below, `client` is a test client of an application, whose `embed` comes from `ca_embed_factory`. A test
client has no port, so the sandbox cannot deliver to it: the test posts the webhook itself. The test fails
if a handler or `identify` has raised, unless it expects that with `ca_handler_errors`.

    def test_connects(ca_sandbox, client, embed):
        registration_id = client.post("/chatarchitect/sessions").json["registration_id"]
        ca_sandbox.complete(registration_id, deliver=False)
        headers, body = ca_sandbox.signed_webhook(registration_id)
        client.post("/chatarchitect/webhook", headers=headers, data=body)
        assert embed.credentials(registration_id)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the fixtures import these themselves: every run of pytest loads this module
    from ca_embed.embed import Embed
    from ca_embed.sandbox import Sandbox


class HandlerErrors(list[tuple[BaseException, str]]):
    """What the host's handlers and `identify` have raised, each as `(error, where)`."""

    @contextmanager
    def expect(self, kind: type[BaseException] = Exception) -> Iterator[list[BaseException]]:
        """Check that the block adds an error of this kind. Take all that it adds of the kind from the list.

        Yields a list that has these errors after the block. Raises AssertionError if there is none.
        """
        before, expected = len(self), list[BaseException]()
        yield expected
        added = self[before:]
        expected.extend(error for error, _ in added if isinstance(error, kind))
        self[before:] = [one for one in added if not isinstance(one[0], kind)]
        assert expected, f"no handler and no identify has raised {kind.__name__}"


@pytest.fixture
def ca_handler_errors() -> HandlerErrors:
    """What handlers and `identify` have raised in this test, each as `(error, where)`.

    Only the Embeds of `ca_embed_factory` add to it. The test fails if the list is not empty at its end.
    `with ca_handler_errors.expect(ValueError):` takes what the block raises, `clear()` takes all.
    """
    return HandlerErrors()


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
def ca_embed_factory(ca_sandbox: Sandbox, ca_handler_errors: HandlerErrors) -> Iterator[Callable[..., Embed]]:
    """A function that builds an `Embed` for `ca_sandbox`. The Embeds are closed after the test.

    It takes the arguments of `Embed`. By default the storage is in memory, and `public_url` is
    http://localhost/chatarchitect, because test clients use the host name localhost.
    The test fails at its end if a handler or `identify` has raised, see `ca_handler_errors`.
    """
    from ca_embed._host.calls import described
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
            embed = stack.enter_context(closing(Embed(**{**settings, **arguments})))
            embed.on_error(lambda error, where: ca_handler_errors.append((error, where)))
            return embed

        yield make
    if ca_handler_errors:
        raised = "; ".join(f"{where} raised {described(error)}" for error, where in ca_handler_errors)
        hint = "To expect it, use the fixture ca_handler_errors"
        raise AssertionError(f"{raised}. {hint}") from ca_handler_errors[0][0]
