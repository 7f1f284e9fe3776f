"""Searching for planted defects, seed by seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.defects import planted
from tests.simulation.simulation import simulate

STEPS = 250  # of one simulation, in a search

# The defects that `make test` plants, and the seed at which its search begins.
SHORT_SEARCH = {
    "A purge deletes what has changed under it": 0,
    "A duplicate is acknowledged on a plain read": 3,
    "Older credentials replace newer ones": 0,
    "A webhook for another user is accepted": 0,
    "Erasing leaves no tombstone": 3,
    "Another user's registration is shown": 0,
    "Only the newest partner token verifies webhooks": 0,
}


@dataclass(frozen=True)
class Found:
    """How a defect was found: after how many steps in all, at which seed, and which promise was broken."""

    what: str
    steps: int
    seed: int | None
    broken: str


def search(what: str, *, seeds: Iterable[int], steps: int = STEPS) -> Found:
    """Plant a defect, and simulate until a promise is broken."""
    total = 0
    for seed in seeds:
        with planted(what):
            outcome = simulate(seed, steps)
        total += outcome.steps
        if outcome.broken:
            return Found(what, total, seed, outcome.broken)
    return Found(what, total, None, "")
