"""Whole deployments on a virtual clock, with everything that goes wrong: no promise is broken."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.simulation.actions import ACTIONS
from tests.simulation.defects import DEFECTS, planted
from tests.simulation.search import SHORT_SEARCH, search
from tests.simulation.simulation import act, go_on, settle, simulate
from tests.simulation.world import World, world


@pytest.mark.parametrize("seed", range(6))
def test_no_promise_is_broken(seed: int) -> None:
    """Whatever happens, and in whatever order: what was promised holds, at each moment and in the end."""
    outcome = simulate(seed, 200)
    assert not outcome.broken, f"{outcome.broken}: make simulate SEED={seed} STEPS=200"
    assert outcome.checks > 20


def test_a_seed_replays() -> None:
    """The same seed makes the same run, to the last storage call."""
    first, second = (simulate(5, 80, trace=True) for _ in range(2))
    assert first == second
    assert len(first.trace) > 200


@pytest.mark.parametrize("what", list(SHORT_SEARCH))
def test_a_planted_defect_is_found(what: str) -> None:
    """The simulation finds a loss of the past that is put back."""
    first = SHORT_SEARCH[what]
    assert search(what, seeds=range(first, first + 10)).broken


def test_every_defect_can_be_planted() -> None:
    """Each defect fits the code as it is now: planting it does not fail."""
    for what in DEFECTS:
        with planted(what):
            pass


class Deployment(RuleBasedStateMachine):
    """Actions in an order that hypothesis chooses, and makes shorter when a promise is broken."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._world: World | None = None

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        """Begin with three hosts."""
        self._world = self._stack.enter_context(world(seed))

    @rule(name=st.sampled_from(list(ACTIONS)), seed=st.integers(0, 10_000))
    def act(self, name: str, seed: int) -> None:
        """Let one thing happen."""
        assert self._world is not None
        self._world.random.seed(seed)
        act(self._world, name)
        go_on(self._world)

    def teardown(self) -> None:
        """End all faults: what was promised must hold."""
        try:
            if self._world is not None:
                settle(self._world)
        finally:
            self._stack.close()


TestDeployment = Deployment.TestCase
TestDeployment.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
