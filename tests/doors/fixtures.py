"""The fixtures that the tests of the whole application share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ca_embed import Embed
from ca_embed.sandbox import Sandbox
from tests.doors.clients import DOORS, Client

ClientOf = Callable[[Embed], Client]


@pytest.fixture(params=sorted(DOORS))
def door(request: pytest.FixtureRequest) -> str:
    """Each door in turn."""
    return str(request.param)


@pytest.fixture
def client_of(door: str) -> Iterator[ClientOf]:
    """Make clients of Embeds at the door; both are closed at the end."""
    made: list[tuple[Embed, Client]] = []

    def make(embed: Embed) -> Client:
        made.append((embed, DOORS[door](embed)))
        return made[-1][1]

    yield make
    for embed, client in made:
        embed.close()
        client.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A local ChatArchitect for this test."""
    with Sandbox() as running:
        yield running
