"""A short form of `make fuzz`: requests that schemathesis makes, at both doors, in each condition."""

from __future__ import annotations

import pytest

from tests.fuzz.described import CONDITIONS, DOORS, OPERATIONS, fuzzed_door


@pytest.mark.parametrize("condition", ["well", "storage broken", "Partner API refuses"])
@pytest.mark.parametrize("door", DOORS)
def test_only_what_is_described(door: str, condition: str) -> None:
    """Every response is one that the OpenAPI document lists, and a 5xx one that the condition explains."""
    with fuzzed_door(door, CONDITIONS[condition]) as fuzzed:
        seen = {name: fuzzed.fuzz(name, 20 if name == "POST /webhook" else 4) for name in OPERATIONS}
    assert seen["GET /live"].keys() == {200}
